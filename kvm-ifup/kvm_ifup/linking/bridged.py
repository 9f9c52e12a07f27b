# SPDX-License-Identifier: BSD-2-Clause
"""A tap as a port of a Linux bridge."""

from __future__ import annotations

from ganeti_cloud.errors import RequestError
from ganeti_cloud.netlink import Connection
from kvm_ifup.linking import links, sysctls
from kvm_ifup.linking.links import Link
from kvm_ifup.port import BridgePort, Port


def tap_mac(guest: bytes) -> bytes:
    """The tap's own MAC: so high that the bridge, which takes the least of its ports', never takes it."""
    return (b"\xfa" if guest[0] == 0xFE else b"\xfe") + guest[1:]


def check(connection: Connection, port: Port, bridge: BridgePort) -> None:
    """Raise RequestError unless there is such a bridge, and it can have such a port."""
    found = links.found(connection, bridge.bridge)
    if found is None:
        raise RequestError(
            f"{port.tap}: the bridge {bridge.bridge} is not there",
            hint=f"make {bridge.bridge}, or correct the NIC's link",
        )
    if found.kind != "bridge":
        what = "an Open vSwitch" if found.kind == "openvswitch" else "another kind of interface"
        raise RequestError(
            f"{port.tap}: {bridge.bridge} is not a bridge but {what}", hint="correct the link or the mode of the NIC"
        )
    if bridge.vlans is not None and not found.filters_vlans:
        raise RequestError(
            f"{port.tap}: the bridge {bridge.bridge} does not filter VLANs, and the NIC asks for some",
            hint=f"ip link set {bridge.bridge} type bridge vlan_filtering 1",
        )
    check_mtu(port, found)


def check_mtu(port: Port, bridge: Link) -> None:
    """Raise RequestError when the guest may send longer frames than its bridge passes on."""
    if port.mtu is not None and port.mtu > bridge.mtu:
        raise RequestError(
            f"{port.tap}: an MTU of {port.mtu} is more than the {bridge.mtu} of {bridge.name}",
            hint=f"raise the MTU of {bridge.name}'s other ports, or lower that of the network",
        )


def make(connection: Connection, port: Port, tap: Link, wanted: BridgePort) -> None:
    """Have *tap* in its bridge.

    Its MTU is the bridge's, also when the guest is to use less: one port with less would lower the bridge's own.
    """
    bridge = links.found(connection, wanted.bridge)
    if bridge is None:
        raise RequestError(f"{port.tap}: the bridge {wanted.bridge} has gone")
    links.join(connection, tap.number, 0)  # and what the port was before is forgotten
    sysctls.apply(port.tap, sysctls.CLOSED, may_be_absent=True)
    links.address(connection, tap.number, mac=tap_mac(port.mac), mtu=bridge.mtu)
    links.join(connection, tap.number, bridge.number)
    if wanted.vlans is not None:
        links.set_vlans(connection, tap.number, wanted.vlans)


def unmake(connection: Connection, tap: Link | None, wanted: BridgePort) -> None:
    """Have *tap* out of its bridge; in another one it stays."""
    bridge = links.found(connection, wanted.bridge)
    if tap is not None and bridge is not None and tap.master == bridge.number:
        links.join(connection, tap.number, 0)


def problem(
    port: Port, tap: Link, wanted: BridgePort, by_index: dict[int, Link], vlans: dict[int, set[links.Vlan]]
) -> str:
    """What is not so; empty when all is."""
    bridge = by_index.get(tap.master)
    if bridge is None or bridge.name != wanted.bridge:
        return f"it is not in the bridge {wanted.bridge}" + (f" but in {bridge.name}" if bridge is not None else "")
    if tap.mac != tap_mac(port.mac):
        return f"its own MAC is {tap.mac.hex(':')}"
    if tap.mtu != bridge.mtu:
        return f"its MTU is {tap.mtu}, the bridge's is {bridge.mtu}"
    if wanted.vlans is not None:
        wrong = links.vlans_of(wanted.vlans) ^ vlans.get(tap.number, set())
        if wrong and (wanted.vlans.untagged is not None or any(not flags for _, flags in wrong)):
            return "its VLANs are not as wanted: " + ", ".join(str(vid) for vid, _ in sorted(wrong))
    return sysctls.differing(port.tap, sysctls.CLOSED)
