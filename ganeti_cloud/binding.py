# SPDX-License-Identifier: BSD-2-Clause
"""Contract "binding": what the node knows of one tap, in ``/var/lib/nfdhcpd/<tap>``.

``kvm-ifup`` writes these files, by replacing them; ``nfdhcpd`` answers the guest behind the tap from them. A file has
lines ``KEY=value``; the keys and the page for them are in nfdhcpd-binding(5).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

FOLDER = "/var/lib/nfdhcpd"


class Route(NamedTuple):
    """One route of option 121 (RFC 3442); *gateway* 0.0.0.0 says that the network is on the link."""

    network: IPv4Network
    gateway: IPv4Address


class Binding(NamedTuple):
    """One tap and the guest behind it. What is None or empty is for the daemon's settings to say."""

    tap: str
    mac: bytes
    """Six bytes."""
    hostname: str
    indev: str
    """The interface by which packets come in: a routed tap itself, else its bridge. Its MAC sends the answers."""
    ip: IPv4Address | None = None
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    ip6: IPv6Address | None = None
    """The address that stateful DHCPv6 gives; without one it is made of the prefix and the MAC (EUI-64)."""
    subnet6: IPv6Network | None = None
    gateway6: IPv6Address | None = None
    private: bool = False
    """No default router is told, by no protocol."""
    macspoof: bool = False
    """The guest may send from any MAC."""
    mtu: int | None = None
    nameservers: tuple[IPv4Address | IPv6Address, ...] = ()
    domain: str = ""
    search_domains: tuple[str, ...] = ()
    ntp_servers: tuple[IPv4Address | IPv6Address, ...] = ()
    routes: tuple[Route, ...] = ()
    lease_time: int | None = None
    """Seconds."""
    renewal_time: int | None = None
    """Seconds."""
    options: tuple[tuple[int, bytes], ...] = ()
    """Further options of DHCPv4, by number (1 to 254)."""
    tags: tuple[str, ...] = ()
    """Of the network; for people."""
