# SPDX-License-Identifier: BSD-2-Clause
"""What a tap is connected to."""

from __future__ import annotations

from ganeti_cloud.errors import RequestError
from kvm_ifup.deciding.addresses import Addresses
from kvm_ifup.deciding.environment import Nic
from kvm_ifup.deciding.tags import Kind
from kvm_ifup.port import BridgePort, RoutedPort, SwitchPort

_MAIN = "main"


def connection(nic: Nic, kind: Kind, own: Addresses, tap_mac: bytes) -> BridgePort | SwitchPort | RoutedPort:
    """The bridge, switch or routing table of *nic*. Raises RequestError when it has none, or what does not fit it."""
    if nic.mode == "routed":
        return _routed(nic, kind, own, tap_mac)
    if kind.routed:
        raise RequestError(
            f"network {nic.network_name} is routed by its tags, and its NIC is in mode {nic.mode}",
            hint="connect the network in mode routed (gnt-network connect), or take the tag off",
        )
    if not nic.link:
        raise RequestError(
            f"NIC {nic.nic_index} names no bridge (LINK)", hint="name one: gnt-instance modify --net N:modify,link=…"
        )
    if nic.mode == "openvswitch":
        if kind.nfdhcpd:
            # Its packets never come by the hooks where nfdhcpd is given them.
            raise RequestError(
                f"network {nic.network_name} is served by nfdhcpd, which does not see ports of Open vSwitch",
                hint="take its tag off and serve it by another DHCP server, or use mode bridged or routed",
            )
        return SwitchPort(nic.link, nic.vlans)
    return BridgePort(nic.link, nic.vlans)


def _routed(nic: Nic, kind: Kind, own: Addresses, tap_mac: bytes) -> RoutedPort:
    network = nic.network
    if kind.isolated or kind.vlan:
        raise RequestError(
            f"network {nic.network_name} is a bridge by its tags, and its NIC is in mode routed",
            hint="connect the network in mode bridged (gnt-network connect), or take the tag off",
        )
    if nic.vlans is not None:
        raise RequestError(
            f"NIC {nic.nic_index} is routed, and has VLANs", hint="a routed NIC has none: --net N:modify,vlan="
        )
    if own.ip is None and own.ip6 is None:
        raise RequestError(
            f"NIC {nic.nic_index} is routed, and has no address to route to",
            hint="give it one: gnt-instance modify --net N:modify,ip=pool",
        )
    if kind.routed:
        _refuse_incomplete(nic, own)
    gateway = network.gateway if network else None
    gateway6 = network.gateway6 if network else None
    if (own.ip is not None and own.ip == gateway) or (own.ip6 is not None and own.ip6 == gateway6):
        raise RequestError(
            f"IP {own.ip if own.ip == gateway else own.ip6} is the gateway of network {nic.network_name}",
            hint="the node is the gateway of a routed NIC; give the NIC another address",
        )
    return RoutedPort(nic.link or _MAIN, gateway, gateway6, tap_mac)


def _refuse_incomplete(nic: Nic, own: Addresses) -> None:
    network = nic.network
    missing = [] if nic.link else ["routing table (LINK)"]
    if own.ip is not None and (network is None or network.subnet is None):
        missing.append("subnet")
    if own.ip is not None and (network is None or network.gateway is None):
        missing.append("gateway")
    if missing:
        raise RequestError(
            f"network {nic.network_name} is routed by its tags, and has no {' and no '.join(missing)}",
            hint="gnt-network modify gives it a gateway, gnt-network connect a link",
        )
