# SPDX-License-Identifier: BSD-2-Clause
"""A tap as a port of an Open vSwitch bridge, by ovs-vsctl(8): its database outlives the tap."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.netlink import Connection
from ganeti_cloud.process import BASE_ENV, run
from kvm_ifup.linking import links, sysctls
from kvm_ifup.linking.bridged import check_mtu, tap_mac
from kvm_ifup.linking.links import Link
from kvm_ifup.port import Port, SwitchPort, Vlans

PROGRAM = "ovs-vsctl"
_MARK = "ganeti-cloud"  # in external_ids, which are for others than Open vSwitch (ovs-vswitchd.conf.db(5))

# How long ovs-vsctl waits for the switch, and how long we wait for it.
_WAIT_S = 5
_LIMIT_S = 8.0
_HINT = "systemctl status openvswitch-switch"


def is_there() -> bool:
    """Whether this node has Open vSwitch at all."""
    return shutil.which(PROGRAM, path=BASE_ENV["PATH"]) is not None


def check(connection: Connection, port: Port, switch: SwitchPort) -> None:
    """Raise CloudError unless there is such a switch."""
    if not is_there():
        raise RequestError(
            f"{port.tap}: the NIC wants the Open vSwitch {switch.bridge}, and this node has none",
            hint="apt install openvswitch-switch, or correct the mode of the NIC",
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
        _vsctl(*" -- ".join(f"--if-exists del-port {tap}" for tap in taps).split())


def problem(port: Port, wanted: SwitchPort, present: dict[str, str]) -> str:
    """What is not so; empty when all is."""
    if port.tap not in present:
        return f"it is not in the Open vSwitch {wanted.bridge}"
    return sysctls.differing(port.tap, sysctls.CLOSED)


def ours() -> dict[str, str]:
    """The ports that this has made, whether the taps are there or not, and the VLANs of each as they are shown."""
    text = run(
        [PROGRAM, f"--timeout={_WAIT_S}", "--format=json", "--columns=name,external_ids,vlan_mode", "list", "Port"],
        timeout_s=_LIMIT_S,
        hint=_HINT,
    )
    found = {}
    for name, identifiers, mode in json.loads(text)["data"]:
        # A map is ["map", [[key, value], …]] (RFC 7047, 5.1).
        if [_MARK, name] in identifiers[1]:
            found[name] = str(mode)
    return found


def vlan_columns(vlans: Vlans | None) -> list[str]:
    """Columns of the table Port; without *vlans* the port has all of them, as Open vSwitch has it by itself."""
    if vlans is None:
        return []
    trunks = ",".join(str(vid) for vid in vlans.tagged)
    if vlans.untagged is None:
        return ["vlan_mode=trunk", f"trunks={trunks}"]
    if not vlans.tagged:
        return ["vlan_mode=access", f"tag={vlans.untagged}"]
    return ["vlan_mode=native-untagged", f"tag={vlans.untagged}", f"trunks={trunks}"]


def _settings(port: Port, wanted: SwitchPort) -> list[str]:
    return ["--", "set", "Port", port.tap, f"external_ids:{_MARK}={port.tap}", *vlan_columns(wanted.vlans)]


def _vsctl(*arguments: str) -> str:
    return run([PROGRAM, f"--timeout={_WAIT_S}", *arguments], timeout_s=_LIMIT_S, hint=_HINT)
