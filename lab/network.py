# SPDX-License-Identifier: BSD-2-Clause
"""The lab's network: a bridge in a network namespace of its own, with a cable to each node and none to the machine."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.errors import RequestError
from ganeti_cloud.process import run
from lab.spec import STORE, Subnet

BRIDGE = "br-lan"  # inside a node: master netdev of Ganeti and link of the instances' NICs
_NETNS = Path("/run/netns")
_IP_S = 20.0


@dataclass(frozen=True, slots=True)
class Network:
    """The network of the lab *name*."""

    name: str
    subnet: Subnet

    def netns(self, node: str) -> str:
        return f"gcl-{self.name}-{node}"

    def netns_file(self, node: str) -> Path:
        return _NETNS / self.netns(node)

    def up(self) -> None:
        """Make the switch. Safe to repeat."""
        switch = self.netns("switch")
        if self.netns_file("switch").exists():
            return
        run(["ip", "netns", "add", switch], timeout_s=_IP_S)
        _ip(switch, "link set lo up", "link add switch type bridge forward_delay 0 stp_state 0", "link set switch up")

    def plug(self, node: str) -> None:
        """Make the network of *node* anew and plug it into the switch."""
        self.unplug(node)
        own, switch = self.netns(node), self.netns("switch")
        run(["ip", "netns", "add", own], timeout_s=_IP_S)
        _ip(
            switch,
            f"link add {node} type veth peer name eth0 netns {own}",
            f"link set {node} master switch up",
        )
        _ip(
            own,
            "link set lo up",
            f"link add {BRIDGE} type bridge forward_delay 0 stp_state 0",
            f"link set {BRIDGE} address {mac(node)}",
            f"link set eth0 master {BRIDGE} up",
            f"link set {BRIDGE} up",
            f"addr add {self.subnet.host(node)}/{self.subnet.network.prefixlen} dev {BRIDGE}",
        )

    def unplug(self, node: str) -> None:
        """Take the network of *node* away, with every address on it. Safe to repeat."""
        if self.netns_file(node).exists():
            # The namespace may live on in a dying process: the cable goes first, so that its addresses go silent.
            if self._plugged(node):
                _ip(self.netns("switch"), f"link del {node}")
            run(["ip", "netns", "del", self.netns(node)], timeout_s=_IP_S)

    def down(self) -> None:
        """Take all of it away, also what a broken lab left. Safe to repeat."""
        for path in sorted(_NETNS.glob(f"gcl-{self.name}-*")):
            run(["ip", "netns", "del", path.name], timeout_s=_IP_S)

    def _plugged(self, node: str) -> bool:
        if not self.netns_file("switch").exists():
            return False
        links = json.loads(run(["ip", "-n", self.netns("switch"), "-j", "link"], timeout_s=_IP_S))
        return any(link.get("ifname") == node for link in links)


def mac(node: str) -> str:
    """Address of the node's bridge; fixed, so that it does not follow the bridge's ports."""
    number = 0x20 if node == STORE else 0x10 + int(node.removeprefix("node"))
    return f"02:00:5e:00:00:{number:02x}"


def check_unused(subnet: Subnet, addresses: str) -> None:
    """Refuse a subnet that overlaps one of the machine's; *addresses* is the output of ``ip -j address``."""
    for link in json.loads(addresses):
        for entry in link.get("addr_info", ()):
            if entry.get("family") != "inet":
                continue
            network = ipaddress.ip_network(f"{entry['local']}/{entry['prefixlen']}", strict=False)
            if network.overlaps(subnet.network):
                raise RequestError(
                    f"--subnet {subnet.network}: this machine has {entry['local']} on {link['ifname']}",
                    hint="name another one, for example --subnet 203.0.113.0/24",
                )


def host_addresses() -> str:
    """The machine's own addresses, as JSON."""
    return run(["ip", "-j", "address"], timeout_s=_IP_S)


def _ip(netns: str, *commands: str) -> None:
    run(["ip", "-n", netns, "-batch", "-"], stdin="".join(f"{line}\n" for line in commands), timeout_s=_IP_S)
