# SPDX-License-Identifier: BSD-2-Clause
"""A tap as a port of an Open vSwitch bridge, by ovs-vsctl(8): its database outlives the tap."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.netlink import Connection
from ganeti_cloud.process import run
from kvm_ifup.linking import links, sysctls
from kvm_ifup.linking.bridged import check_mtu, tap_mac
from kvm_ifup.linking.links import Link
from kvm_ifup.port import Port, SwitchPort

FOLDER = "/run/openvswitch"
_MARK = "ganeti-cloud"  # in external_ids, which are for others than Open vSwitch (ovs-vswitchd.conf.db(5))

# How long ovs-vsctl waits for the switch, and how long we wait for it.
_WAIT_S = 5
_LIMIT_S = 8.0
_HINT = "systemctl status openvswitch-switch"


def is_there() -> bool:
    """Whether Open vSwitch runs on this node. While it does not, its ports forward nothing."""
    return os.path.exists(_database())


def check(connection: Connection, port: Port, switch: SwitchPort) -> None:
    """Raise CloudError unless there is such a switch."""
    if not is_there():
        raise RequestError(
            f"{port.tap}: the NIC wants the Open vSwitch {switch.bridge}, and none runs on this node",
            hint="apt install openvswitch-switch and start it, or correct the mode of the NIC",
        )
    try:
        _vsctl("br-exists", switch.bridge)
    except CommandError as err:
        if err.status != 2:  # ovs-vsctl(8): there is no such bridge
            raise
        raise RequestError(
            f"{port.tap}: the Open vSwitch {switch.bridge} is not there",
            hint=f"ovs-vsctl add-br {switch.bridge}, or correct the NIC's link",
        ) from err
    if (bridge := links.found(connection, switch.bridge)) is not None:
        check_mtu(port, bridge)


def make(connection: Connection, port: Port, tap: Link, wanted: SwitchPort) -> None:
    """Have *tap* in its switch, in its VLANs and no other."""
    bridge = links.found(connection, wanted.bridge)
    # What another switch has under this name goes in the same transaction.
    _vsctl(*("--if-exists", "del-port", port.tap, "--", "add-port", wanted.bridge, port.tap), *_settings(port, wanted))
    sysctls.apply(port.tap, sysctls.CLOSED, may_be_absent=True)
    links.address(connection, tap.number, mac=tap_mac(port.mac), mtu=bridge.mtu if bridge is not None else port.mtu)


def unmake(tap: str, wanted: SwitchPort) -> None:
    """Have *tap* out of its switch; in another one it stays."""
    if is_there():
        _vsctl("--if-exists", "del-port", wanted.bridge, tap)


def sweep(taps: Sequence[str]) -> None:
    """Have none of *taps* in any switch."""
    if taps:
        _vsctl(*(word for tap in taps for word in ("--", "--if-exists", "del-port", tap)))


class Placed(NamedTuple):
    """A port that this has made, whether its tap is there or not."""

    bridge: str
    mode: str
    tag: tuple[int, ...]
    trunks: tuple[int, ...]


def problem(port: Port, tap: Link, wanted: SwitchPort, present: dict[str, Placed]) -> str:
    """What is not so; empty when all is."""
    placed = present.get(port.tap)
    if placed is None or placed.bridge != wanted.bridge:
        return f"it is not in the Open vSwitch {wanted.bridge}"
    if placed != _placed(wanted):
        return "its VLANs are not as wanted"
    if tap.mac != tap_mac(port.mac):
        return f"its own MAC is {tap.mac.hex(':')}"
    return sysctls.differing(port.tap, sysctls.CLOSED)


def ours() -> dict[str, Placed]:
    """All of ours, by their taps."""
    import json  # not for those that only come up

    columns = "--columns=name,external_ids,vlan_mode,tag,trunks"
    found = {}
    for name, identifiers, mode, tag, trunks in json.loads(_vsctl("--format=json", columns, "list", "Port"))["data"]:
        # A map is ["map", [[key, value], …]], a set of one is its element, any other ["set", […]] (RFC 7047, 5.1).
        marked = dict(identifiers[1]).get(_MARK)
        if marked is not None:
            found[name] = Placed(marked, "".join(_set(mode)), _set(tag), _set(trunks))
    return found


def _set(value: Any) -> tuple[Any, ...]:
    return tuple(sorted(value[1])) if isinstance(value, list) else (value,)


def _placed(wanted: SwitchPort) -> Placed:
    """What Open vSwitch has when the port is as *wanted*; without VLANs it has all of them."""
    if wanted.vlans is None:
        return Placed(wanted.bridge, "", (), ())
    trunks = tuple(sorted(set(wanted.vlans.tagged)))
    if wanted.vlans.untagged is None:
        return Placed(wanted.bridge, "trunk", (), trunks)
    return Placed(wanted.bridge, "native-untagged" if trunks else "access", (wanted.vlans.untagged,), trunks)


def _settings(port: Port, wanted: SwitchPort) -> list[str]:
    placed = _placed(wanted)
    columns = [f"vlan_mode={placed.mode}"] if placed.mode else []
    columns += [f"tag={vid}" for vid in placed.tag]
    columns += [f"trunks={','.join(map(str, placed.trunks))}"] if placed.trunks else []
    return ["--", "set", "Port", port.tap, f'external_ids:{_MARK}="{wanted.bridge}"', *columns]


def _vsctl(*arguments: str) -> str:
    argv = ["ovs-vsctl", f"--db=unix:{_database()}", f"--timeout={_WAIT_S}", *arguments]
    return run(argv, timeout_s=_LIMIT_S, hint=_HINT)


def _database() -> str:
    """The socket of the database: where Debian's packages have it."""
    return f"{FOLDER}/db.sock"
