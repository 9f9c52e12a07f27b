# SPDX-License-Identifier: BSD-2-Clause
"""The server for DHCPv4 as a target."""

from __future__ import annotations

from ipaddress import IPv4Address

from nfdhcpd.dhcp4 import answering
from nfdhcpd.dhcp4.outcomes import OUTCOMES
from nfdhcpd.wire.checksum import total
from tests.fuzz.mutating import Target, consistent
from tests.unit.dhcp4_guest import (
    ADDRESS,
    BINDING,
    DISCOVER,
    INFORM,
    MAC,
    RELEASE,
    REQUEST,
    ROUTER_MAC,
    Fixed,
    asks_for,
    at,
    datagram,
    message,
    option,
    prepared,
    wants,
)

_WISH = asks_for(1, 121, 3, 6, 12, 15, 26, 28, 42, 51, 58, 59, 119)
_IDENTIFIER = option(61, b"\x01" + MAC)
_LONG = BINDING._replace(
    search_domains=("example.com", "corp.example.com"),
    options=tuple((200 + number, bytes(30 * number)) for number in range(20)),
)

_SEEDS = (
    message(DISCOVER, _IDENTIFIER, _WISH, option(57, b"\x05\xdc"), option(60, b"test")),
    message(DISCOVER, option(80), asks_for(*range(1, 255)), fixed=Fixed(flags=0x8000)),
    message(DISCOVER),
    message(DISCOVER, option(52, b"\x03"), fixed=Fixed(sname=_WISH + b"\xff", file=_IDENTIFIER + b"\xff")),
    message(REQUEST, _IDENTIFIER, at(), wants(ADDRESS), _WISH),
    message(REQUEST, wants(IPv4Address("203.0.113.9")), _IDENTIFIER),
    message(REQUEST, _WISH, fixed=Fixed(ciaddr=ADDRESS.packed)),
    message(INFORM, _WISH, fixed=Fixed(ciaddr=ADDRESS.packed)),
    message(RELEASE, at(), fixed=Fixed(ciaddr=ADDRESS.packed)),
)
_KEPT = prepared(_LONG)


def _check(packet: bytes) -> str:
    outcome, frame = consistent(answering.answer(_KEPT, packet, MAC), OUTCOMES)
    if frame is not None:
        assert (outcome, frame) == answering.answer(answering.Prepared(_KEPT.told, {}, {}), packet, MAC)
        _check_frame(frame, packet)
    return outcome.name


def _check_frame(frame: bytes, packet: bytes) -> None:
    assert frame[:6] in {MAC, b"\xff" * 6}
    assert frame[6:14] == ROUTER_MAC + b"\x08\0"
    assert 14 + 28 + 300 <= len(frame) <= 14 + 1500
    assert int.from_bytes(frame[16:18], "big") == len(frame) - 14
    assert int.from_bytes(frame[38:40], "big") == len(frame) - 34
    assert total(frame[14:34]) == 0
    assert (total(frame[26:34]) + 17 + len(frame) - 34 + total(frame[34:])) % 0xFFFF == 0
    assert frame[34:38] == b"\x00\x43\x00\x44"
    start = (packet[0] & 15) * 4 + 8
    assert frame[46:50] == packet[start + 4 : start + 8]


# Without the zeros at the end, which nobody looks at.
TARGET = Target([seed.rstrip(b"\0") for seed in _SEEDS], 240, datagram, _check)
