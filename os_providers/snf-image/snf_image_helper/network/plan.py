# SPDX-License-Identifier: BSD-2-Clause
"""What each interface is to have, worked out once for all the ways to say it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from snf_image_helper.job import Nic
from snf_image_helper.records import NamedTuple
from snf_image_helper.task import TaskError

NONE, DHCP, STATIC = "none", "dhcp", "static"
SLAAC, SLAAC_DHCP = "slaac", "slaac_dhcp"

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_DOMAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,252})")
# RFC 791 and RFC 8200 say what a host must take; the largest is that of a datagram.
_LEAST_MTU, _LARGEST_MTU = 68, 65535


class Address(NamedTuple):
    """A fixed address. *gateway* is empty for none; *on_link* says that it is reached though no prefix covers it."""

    ip: str
    prefix: int
    gateway: str
    on_link: bool

    @property
    def text(self) -> str:
        """With its prefix."""
        return f"{self.ip}/{self.prefix}"


class Interface(NamedTuple):
    """One interface. *v4* and *v6* are there when *ipv4* and *ipv6* are static.

    *metric* orders the default routes when there are several interfaces; 0 leaves it to the guest.
    """

    name: str
    mac: str
    ipv4: str
    ipv6: str
    v4: Address | None
    v6: Address | None
    name_servers: tuple[str, ...]
    search: tuple[str, ...]
    mtu: int
    metric: int

    @property
    def router_advertisements(self) -> bool:
        """Whether those are listened to: DHCPv6 has no default route of its own (RFC 8415)."""
        return self.ipv6 in (SLAAC, SLAAC_DHCP, DHCP)

    @property
    def addressed(self) -> bool:
        """Whether it has any address but that of the link."""
        return (self.ipv4, self.ipv6) != (NONE, NONE)


def interfaces(nics: Sequence[Nic]) -> list[Interface]:
    """What *nics* mean. Raises TaskError for what cannot be."""
    return [_interface(index, nic, len(nics)) for index, nic in enumerate(nics)]


def servers(plan: Sequence[Interface]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The name servers and search domains of all interfaces, each once."""
    hosts = dict.fromkeys(host for interface in plan for host in interface.name_servers)
    domains = dict.fromkeys(domain for interface in plan for domain in interface.search)
    return tuple(hosts), tuple(domains)


def _interface(index: int, nic: Nic, count: int) -> Interface:
    mac = nic.mac.lower()
    try:
        if _MAC.fullmatch(mac) is None:
            raise ValueError(f"{nic.mac!r} is no MAC address")
        if nic.ipv4 not in (NONE, DHCP, STATIC) or nic.ipv6 not in (NONE, SLAAC, SLAAC_DHCP, DHCP, STATIC):
            raise ValueError(f"nothing is known of ipv4 {nic.ipv4!r} with ipv6 {nic.ipv6!r}")
        if nic.mtu and not _LEAST_MTU <= nic.mtu <= _LARGEST_MTU:
            raise ValueError(f"{nic.mtu} is no MTU")
        v4 = _fixed(4, nic.ip, nic.subnet, nic.gateway) if nic.ipv4 == STATIC else None
        v6 = _fixed(6, nic.ip6, nic.subnet6, nic.gateway6) if nic.ipv6 == STATIC else None
        # Who is told them by DHCP or by router advertisements is not told again.
        named = v4 is not None or v6 is not None
        hosts = tuple(str(ipaddress.ip_address(host)) for host in nic.name_servers) if named else ()
        search = tuple(_domain(domain) for domain in nic.search_domains) if named else ()
    except ValueError as err:
        raise TaskError(f"interface {index}: {err}") from err
    metric = 100 + index if count > 1 else 0
    return Interface(f"eth{index}", mac, nic.ipv4, nic.ipv6, v4, v6, hosts, search, nic.mtu, metric)


def _fixed(version: int, ip: str, subnet: str, gateway: str) -> Address:
    if not ip or not subnet:
        raise ValueError(f"a static IPv{version} address needs the address and the subnet of its network")
    address = ipaddress.ip_address(ip)
    network = ipaddress.ip_network(subnet, strict=False)
    router = ipaddress.ip_address(gateway) if gateway else None
    if {address.version, network.version, router.version if router else version} != {version}:
        raise ValueError(f"{ip}, {subnet} and {gateway or 'no gateway'} are not all of IPv{version}")
    # That of a link is always reached: RFC 4291, 2.5.6.
    on_link = router is not None and router not in network and not router.is_link_local
    return Address(str(address), network.prefixlen, str(router or ""), on_link)


def _domain(text: str) -> str:
    if _DOMAIN.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no domain to search in")
    return text
