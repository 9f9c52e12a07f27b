# SPDX-License-Identifier: BSD-2-Clause
"""What there is to say of IPv6 to one guest, by whichever protocol: its binding, completed by the site's settings."""

from __future__ import annotations

from ipaddress import IPv6Address
from typing import NamedTuple

from ganeti_cloud import netvalues
from ganeti_cloud.binding import Binding
from nfdhcpd.settings import Ipv6Settings
from nfdhcpd.wire.ipv6 import link_local

INFINITY = 0xFFFFFFFF
"""Of a lifetime (RFC 4861, 4.6.2; RFC 8415, 7.7)."""

# An advertisement must not be fragmented (RFC 6980), so it has to fit into the least MTU of IPv6, 1280 bytes.
_MOST_SERVERS = 8
_MOST_BYTES_OF_NAMES = 512


class Lifetimes(NamedTuple):
    """Of an address or prefix, in seconds."""

    valid: int
    preferred: int
    renewal: int
    """T1: when the guest asks this server again."""
    rebinding: int
    """T2: when it asks any server."""


def address(binding: Binding) -> IPv6Address | None:
    """The one that the guest is given: as its binding says, else as the guest would make it itself."""
    return autonomous_address(binding) if binding.ip6 is None else binding.ip6


def autonomous_address(binding: Binding) -> IPv6Address | None:
    """What the guest makes of its prefix and its MAC (RFC 4862, 5.5.3); None when the prefix is too long for that."""
    if binding.subnet6 is None or binding.subnet6.prefixlen > 64:
        return None
    return netvalues.eui64(binding.subnet6, binding.mac)


def router(binding: Binding, router_mac: bytes) -> bytes:
    """The link-local address that the node speaks from; hosts take no other for a router (RFC 4861, 6.1.2)."""
    gateway = binding.gateway6
    return gateway.packed if gateway is not None and gateway.is_link_local else link_local(router_mac)


def lifetimes(binding: Binding, site: Ipv6Settings) -> Lifetimes:
    """How long an address stays the guest's.

    RFC 8415, 21.4 recommends to renew after 0.5 and to rebind after 0.8 of the preferred lifetime. The valid lifetime
    is a third longer than the preferred one. A renewal time that would not come before rebinding gives way to 0.5.
    """
    valid = min(site.lease_time if binding.lease_time is None else binding.lease_time, INFINITY)
    renewal = min(site.renewal_time if binding.renewal_time is None else binding.renewal_time, INFINITY)
    if valid == INFINITY:
        return Lifetimes(INFINITY, INFINITY, renewal, INFINITY)
    preferred = preferred_part(valid)
    rebinding = max(preferred * 4 // 5, 1)
    return Lifetimes(valid, preferred, renewal if renewal < rebinding else max(preferred // 2, 1), rebinding)


def preferred_part(valid: int) -> int:
    """The preferred lifetime that goes with a *valid* one."""
    return valid if valid == INFINITY else max(valid * 3 // 4, 1)


def name_servers(binding: Binding, site: Ipv6Settings) -> list[bytes]:
    """Those of the binding, else those of the site; the first eight."""
    own = [server for server in binding.nameservers if isinstance(server, IPv6Address)]
    return [server.packed for server in (own or site.nameservers)[:_MOST_SERVERS]]


def time_servers(binding: Binding) -> list[bytes]:
    """The first eight."""
    own = [server for server in binding.ntp_servers if isinstance(server, IPv6Address)]
    return [server.packed for server in own[:_MOST_SERVERS]]


def search_list(binding: Binding, site: Ipv6Settings) -> bytes:
    """The domains to search in, as names of DNS without compression; those that fit into 512 bytes."""
    domains = binding.search_domains or ((binding.domain,) if binding.domain else site.search_domains)
    names = b""
    for domain in domains:
        name = _name(domain)
        if len(names) + len(name) > _MOST_BYTES_OF_NAMES:
            break
        names += name
    return names


def _name(domain: str) -> bytes:
    """RFC 1035, 3.1."""
    labels = domain.rstrip(".").encode("ascii").split(b".")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
