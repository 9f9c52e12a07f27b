# SPDX-License-Identifier: BSD-2-Clause
"""The uplinks of nodes as docs/networks.md has them, by networkd: only the cable is the lab's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lab.network import BRIDGE
from lab.node import Node
from tests.unit import network_examples

_STEP_S = 60.0

# A node of the lab has no udev, for which networkd would wait, but in a container (systemd.io/CONTAINER_INTERFACE).
# The protection of control groups would have ReadOnlyPaths= make /sys writable again (systemd 257).
_NETWORKD = {"/etc/systemd/system/systemd-networkd.service.d/lab.conf": "[Service]\nBindReadOnlyPaths=/sys\n"}


@contextmanager
def uplinks(nodes: Sequence[Node], heading: str, link: str) -> Iterator[None]:
    """Have *nodes* configured as below *heading*; *link*, a VLAN there, is a cable to the switch of the lab here."""
    files = network_examples.everywhere() | network_examples.files(heading, "networkd")
    # The kernel need not have VLANs.
    files = {path: text for path, text in files.items() if "Kind=vlan" not in text} | _NETWORKD
    try:
        for node in nodes:
            for path, text in files.items():
                node.write(path, text)
            _run(node, f"ip link add {link} type veth peer name cable; ip link set cable master {BRIDGE} up")
            _run(node, "systemctl daemon-reload; systemctl restart systemd-networkd")
        for node in nodes:
            waiting = ["/usr/lib/systemd/systemd-networkd-wait-online", f"--interface={link}:carrier", "--timeout=30"]
            node.run(waiting, timeout_s=_STEP_S)
        yield
    finally:
        for node in nodes:
            _run(node, "systemctl stop systemd-networkd.socket systemd-networkd; ip link del cable", check=False)
            node.run(["rm", "-f", *files], timeout_s=_STEP_S)


def _run(node: Node, commands: str, *, check: bool = True) -> None:
    node.run(["sh", "-ec" if check else "-c", commands], timeout_s=_STEP_S)
