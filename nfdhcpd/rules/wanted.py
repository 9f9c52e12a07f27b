# SPDX-License-Identifier: BSD-2-Clause
"""What the rules are for, whatever program makes them."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from nfdhcpd.rules.options import RulesSettings
from nfdhcpd.settings import Dhcp4Settings, Ipv6Settings, LimitSettings

_HEADROOM = 1.25


class Kind(NamedTuple):
    """Packets of one kind. Exactly one of *udp_port* and *icmpv6_type* is not None."""

    name: str
    ip: int
    """4 or 6."""
    udp_port: int | None
    icmpv6_type: int | None
    bridged: bool
    """Whether those from taps in bridges are for the daemon, too."""


DHCP4 = Kind("dhcp4", 4, 67, None, bridged=True)
RS = Kind("rs", 6, None, 133, bridged=True)
# In a bridge the neighbours are on the same link and answer for themselves: their solicitations have to reach them.
NS = Kind("ns", 6, None, 135, bridged=False)
DHCP6 = Kind("dhcp6", 6, 547, None, bridged=True)


class Traffic(NamedTuple):
    """Packets of one kind, and the queue for them."""

    kind: Kind
    queue: int


class Wanted(NamedTuple):
    """The rules that the settings ask for."""

    rules: RulesSettings
    traffic: tuple[Traffic, ...]
    packets_per_second: int
    """Of one tap, of all kinds together; what is more is dropped before it reaches a queue."""
    burst: int

    def of_links(self, *, bridged: bool) -> tuple[Traffic, ...]:
        """What is taken from taps that are in bridges, or from those that are not."""
        if bridged:
            return tuple(each for each in self.traffic if each.kind.bridged) if self.rules.bridged else ()
        return self.traffic if self.rules.routed else ()

    @property
    def mark(self) -> str:
        """A comment that rules of just these settings carry."""
        return f"nfdhcpd {hashlib.sha256(repr(tuple(self)).encode()).hexdigest()[:12]}"


def wanted(dhcp4: Dhcp4Settings, ipv6: Ipv6Settings, limits: LimitSettings, rules: RulesSettings) -> Wanted:
    """What these sections of the settings ask for.

    The kernel lets through a little more than the daemon looks at, so that it is the daemon that counts and reports a
    guest just over its limit, and a flood never fills a queue.
    """
    traffic = [Traffic(DHCP4, dhcp4.queue)] if dhcp4.enabled else []
    if ipv6.enabled:
        traffic += [Traffic(RS, ipv6.rs_queue), Traffic(NS, ipv6.ns_queue)]
        if ipv6.mode != "slaac":
            traffic.append(Traffic(DHCP6, ipv6.dhcp6_queue))
    return Wanted(
        rules,
        tuple(traffic),
        packets_per_second=_above(limits.packets_per_second),
        burst=_above(limits.burst),
    )


def _above(limit: int) -> int:
    return int(limit * _HEADROOM) + 1
