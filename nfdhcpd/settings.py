# SPDX-License-Identifier: BSD-2-Clause
"""What the site says, in /etc/ganeti-cloud/nfdhcpd.toml."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple


class Dhcp4Settings(NamedTuple):
    """Section ``[dhcp4]``: what every guest is told when its binding says nothing else."""

    enabled: bool
    queue: int
    """NFQUEUE for UDP port 67."""
    server_address: IPv4Address
    """The server identifier, and the source of answers; no interface needs to have it."""
    server_on_link: bool
    """Take the binding's gateway (else the first address of its subnet) for the server instead."""
    lease_time: int
    """Seconds."""
    renewal_time: int
    """Seconds; T1."""
    nameservers: tuple[IPv4Address, ...]
    domain: str
    search_domains: tuple[str, ...]
    ntp_servers: tuple[IPv4Address, ...]


class Ipv6Settings(NamedTuple):
    """Section ``[ipv6]``."""

    enabled: bool
    rs_queue: int
    ns_queue: int
    dhcp6_queue: int
    mode: str
    """slaac, slaac+dhcpv6 (others by information request), or dhcpv6 (addresses too: flag M)."""
    ra_period: int
    """Seconds from one unsolicited router advertisement to the next."""
    lease_time: int
    """Seconds; the valid lifetime of an address by DHCPv6, and of a prefix."""
    renewal_time: int
    """Seconds; T1."""
    nameservers: tuple[IPv6Address, ...]
    search_domains: tuple[str, ...]
    duid: bytes
    """Of this server; always the same for one node (RFC 8415, 11)."""


class LimitSettings(NamedTuple):
    """Section ``[limits]``: how many packets of one tap are looked at."""

    packets_per_second: int
    burst: int


class Settings(NamedTuple):
    """The whole file."""

    dhcp4: Dhcp4Settings
    ipv6: Ipv6Settings
    limits: LimitSettings
