# SPDX-License-Identifier: BSD-2-Clause
"""A served tap and what is around it, for tests of the daemon's parts."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network

from ganeti_cloud.binding import Binding
from nfdhcpd import settings
from nfdhcpd.guests.rtnetlink import Link
from nfdhcpd.guests.taps import Taps
from nfdhcpd.packets import protocols

SITE = settings.load("/nonexistent")
MAC = bytes.fromhex("525410000001")
ROUTER_MAC = bytes.fromhex("020000000001")


def binding(number: int = 0) -> Binding:
    """The binding of the tap with this *number*."""
    return Binding(
        tap=f"tap{number}",
        mac=MAC[:4] + (number + 1).to_bytes(2, "big"),
        hostname=f"vm{number}.example.com",
        indev=f"tap{number}",
        ip=IPv4Address("192.0.2.16") + number,
        subnet=IPv4Network("192.0.0.0/16"),
        gateway=IPv4Address("192.0.2.1"),
        subnet6=IPv6Network("2001:db8::/64"),
    )


def taps(*bindings: Binding) -> Taps:
    """Taps that serve *bindings*, the first as interface 10, and so on."""
    links = {each.tap: Link(10 + number, ROUTER_MAC) for number, each in enumerate(bindings)}
    found = Taps({each.tap: each for each in bindings}, links, protocols.preparing(SITE))
    found.refresh(links)
    return found
