# SPDX-License-Identifier: BSD-2-Clause
"""The node that speaks for a network as a target."""

from __future__ import annotations

from nfdhcpd.router import advertising
from nfdhcpd.router.outcomes import NEIGHBOUR_DEFENDED, OUTCOMES
from tests.fuzz.ipv6 import ICMPV6, check_frame, neighbour
from tests.fuzz.mutating import Target, consistent
from tests.unit.nfdhcpd_ipv6 import (
    ADDRESS,
    BINDING,
    GATEWAY,
    MAC,
    ROUTER,
    ROUTER_MAC,
    SITE,
    duplicate_detection,
    neighbour_solicitation,
)

_PREPARED = advertising.prepare(BINDING, SITE, ROUTER_MAC)
# A seed begins with its addresses.
_SEEDS = [
    bytes(packet)[8:]
    for target in (GATEWAY, ROUTER, ADDRESS, "2001:db8:7::9", "fe80::99")
    for packet in (neighbour_solicitation(target), duplicate_detection(target))
]


def _check(packet: bytes) -> str:
    assert _PREPARED is not None
    outcome, frame = consistent(advertising.answer_neighbour(_PREPARED, packet, MAC), OUTCOMES)
    if frame is not None:
        check_frame(frame, ICMPV6)
        # The target is repeated; to whom it goes is no choice of the guest's but its own address.
        assert frame[62:78] == packet[48:64]
        assert outcome is NEIGHBOUR_DEFENDED or frame[38:54] == packet[8:24]
    return outcome.name


TARGET = Target(_SEEDS, 40, neighbour, _check)
