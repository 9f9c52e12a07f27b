# SPDX-License-Identifier: BSD-2-Clause
"""Which addresses are a NIC's own, and from which it may send."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

from ganeti_cloud import netvalues
from ganeti_cloud.errors import RequestError
from kvm_ifup.deciding.environment import Network, Nic
from kvm_ifup.port import Sources


class Addresses(NamedTuple):
    """Of a NIC."""

    ip: IPv4Address | None
    ip6: IPv6Address | None
    is_made: bool = False
    """*ip6* is what the guest makes of its prefix and its MAC, and not assigned by Ganeti."""


_LINK_LOCAL = IPv6Network("fe80::/10")  # RFC 4291, 2.4
_LINK_LOCAL_PREFIX = IPv6Network("fe80::/64")
_LONGEST_FOR_EUI64 = 64

# RFC 3021: in a /31 both addresses are hosts'.
_LONGEST_WITH_BROADCAST = 30


def addresses(nic: Nic) -> Addresses:
    """Those that Ganeti has assigned to *nic*, or that follow from its network's prefix.

    Raises RequestError for one outside its network, and for a prefix of which no guest makes an address.
    """
    network = nic.network
    ip = nic.ip if isinstance(nic.ip, IPv4Address) else None
    ip6 = nic.ip if isinstance(nic.ip, IPv6Address) else None
    if network is None:
        return Addresses(ip, ip6)
    if ip is not None and network.subnet is not None:
        _refuse_outside(ip, network.subnet, network)
        if nic.mode != "routed" and _is_no_host(ip, network.subnet):
            raise _wrong(f"IP {ip} is none of a host in network {network.name}, {network.subnet}")
    if network.subnet6 is None:
        return Addresses(ip, ip6)
    if ip6 is not None:
        _refuse_outside(ip6, network.subnet6, network)
        return Addresses(ip, ip6)
    if network.subnet6.prefixlen > _LONGEST_FOR_EUI64:
        raise RequestError(
            f"network {network.name}: {network.subnet6} is too long for addresses that are made of MACs",
            hint="give the network a /64 (gnt-network modify --network6), or the NIC an IPv6 address",
        )
    return Addresses(ip, netvalues.eui64(network.subnet6, nic.mac), is_made=True)


def sources(nic: Nic, own: Addresses, *, link_local: str, unknown_is_open: bool) -> Sources:
    """From where *nic* with its *own* addresses sends; in a family in which it has none, from anywhere or nowhere."""
    unknown = None if unknown_is_open else ()
    networks6: tuple[IPv6Network, ...] | None = unknown
    if own.ip6 is not None:
        on_link = _LINK_LOCAL if link_local == "any" else IPv6Network(netvalues.eui64(_LINK_LOCAL_PREFIX, nic.mac))
        networks6 = (IPv6Network(own.ip6), on_link)
    return Sources(unknown if own.ip is None else (IPv4Network(own.ip),), networks6)


def _refuse_outside(address: IPv4Address | IPv6Address, subnet: IPv4Network | IPv6Network, network: Network) -> None:
    if address not in subnet:
        raise _wrong(f"IP {address} is not in network {network.name}, {subnet}")


def _is_no_host(ip: IPv4Address, subnet: IPv4Network) -> bool:
    is_edge = ip in (subnet.network_address, subnet.broadcast_address)
    return is_edge and subnet.prefixlen <= _LONGEST_WITH_BROADCAST


def _wrong(what: str) -> RequestError:
    return RequestError(what, hint="give the NIC another address: gnt-instance modify --net N:modify,ip=…")
