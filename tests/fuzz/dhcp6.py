# SPDX-License-Identifier: BSD-2-Clause
"""The server for DHCPv6 as a target."""

from __future__ import annotations

from nfdhcpd.dhcp6 import answering
from nfdhcpd.dhcp6.outcomes import OUTCOMES
from tests.fuzz.ipv6 import check_frame, datagram
from tests.fuzz.mutating import Target, consistent
from tests.unit.nfdhcpd_dhcp6 import IDENTIFIED, OTHER, OURS, RAPID, na, pd, prepared, ta, wanting
from tests.unit.nfdhcpd_ipv6 import ADDRESS, MAC, ROUTER, client_message, dhcp6

_UDP = 17
_PREPARED = prepared()
_KINDS = (dhcp6.DHCP6_Advertise().msgtype, dhcp6.DHCP6_Reply().msgtype)
_EVERYTHING = (wanting(23, 24, 32, 56), na(ADDRESS), na(OTHER, number=9), ta(OTHER), pd("2001:db8:9000::/52"))
_CHOSEN = (dhcp6.DHCP6_Request, dhcp6.DHCP6_Renew, dhcp6.DHCP6_Release, dhcp6.DHCP6_Decline)
_TO_ALL = (dhcp6.DHCP6_Solicit, dhcp6.DHCP6_Confirm, dhcp6.DHCP6_Rebind)
# Messages of every type that reach everything behind the checks. A seed begins with its addresses.
_SEEDS = [
    bytes(packet)[8:]
    for packet in (
        *(client_message(kind(), IDENTIFIED, OURS, *_EVERYTHING) for kind in _CHOSEN),
        *(client_message(kind(), IDENTIFIED, OURS, destination=ROUTER) for kind in _CHOSEN),
        *(client_message(kind(), IDENTIFIED, RAPID, *_EVERYTHING) for kind in _TO_ALL),
        *(client_message(kind(), IDENTIFIED, na(ADDRESS)) for kind in _TO_ALL),
        client_message(dhcp6.DHCP6_InfoRequest(), wanting(23, 24, 32, 56)),
    )
]


def _wrap(seed: bytes) -> bytes:
    return datagram(seed[:32].ljust(32, b"\0"), 1, _UDP, seed[32:])


def _check(packet: bytes) -> str:
    outcome, frame = consistent(answering.answer(_PREPARED, packet, MAC), OUTCOMES)
    if frame is not None:
        check_frame(frame, _UDP)
        assert frame[38:54] == packet[8:24]
        assert frame[62] in _KINDS
        assert frame[63:66] == packet[49:52]
    return outcome.name


TARGET = Target(_SEEDS, 44, _wrap, _check)
