# SPDX-License-Identifier: BSD-2-Clause
"""The router that is solicited as a target."""

from __future__ import annotations

from nfdhcpd.router import advertising
from nfdhcpd.router.outcomes import OUTCOMES
from tests.fuzz.ipv6 import ICMPV6, check_frame, neighbour
from tests.fuzz.mutating import Target, consistent
from tests.unit.nfdhcpd_ipv6 import BINDING, MAC, ROUTER_MAC, SITE, UNSPECIFIED, router_solicitation

_PREPARED = advertising.prepare(BINDING._replace(mtu=1400), SITE, ROUTER_MAC)
# A seed begins with its addresses.
_SEEDS = [bytes(packet)[8:] for packet in (router_solicitation(), router_solicitation(UNSPECIFIED, None))]


def _check(packet: bytes) -> str:
    assert _PREPARED is not None
    outcome, frame = consistent(advertising.answer_router(_PREPARED, packet, MAC), OUTCOMES)
    if frame is not None:
        check_frame(frame, ICMPV6)
        assert frame == advertising.unsolicited(_PREPARED) or frame[38:54] == packet[8:24]
    return outcome.name


TARGET = Target(_SEEDS, 40, neighbour, _check)
