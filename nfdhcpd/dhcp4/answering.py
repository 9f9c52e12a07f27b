# SPDX-License-Identifier: BSD-2-Clause
"""One DHCPv4 packet of one guest in, one answer out."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp4 import deciding, message, numbers, outcomes, reply
from nfdhcpd.dhcp4.told import Told, tell
from nfdhcpd.outcome import Answer, Outcome
from nfdhcpd.settings import Dhcp4Settings
from nfdhcpd.wire import ethernet, ipv4
from nfdhcpd.wire.checksum import checksum, total
from nfdhcpd.wire.malformed import Fault, Malformed

# The transaction ID and the seconds are all that differs between two tries of the same request.
_BEFORE_XID = slice(0, 4)
_AFTER_SECONDS = slice(10, None)

# In the frame of an answer: the UDP checksum, the first four bytes of the message, the transaction ID.
_CHECKSUM_AT = ethernet.HEADER + ipv4.HEADER + 6
_CHANGING = struct.Struct("!H4sI")
_REPLY_HEAD = bytes((numbers.BOOTREPLY, numbers.ETHERNET, 6, 0))
_XID_AND_SECONDS = struct.Struct("!IH")

_BAD_CHECKSUM = outcomes.MALFORMED[Fault.BAD_CHECKSUM]

# DISCOVER, and REQUEST in three states.
_REMEMBERED = 4
# A request that fits what every network carries. Longer ones are answered as well, but nobody makes the memory of
# a daemon with thousands of guests fill up with them.
_LONGEST_REMEMBERED = 576


class Reply(NamedTuple):
    """An answer that lacks only the transaction ID."""

    outcome: Outcome
    before: bytes
    """Of the frame, as far as the UDP checksum."""
    remainder: int
    """What the frame's UDP checksum has to make right, without the transaction ID."""
    after: bytes
    asked: int
    """What the request adds up to without its transaction ID and seconds, as a remainder of 65535."""


class Prepared(NamedTuple):
    """What the guest of one tap is told, and the last answers that it got."""

    told: Told
    replies: dict[bytes, Reply]
    """By all that an answer depends on but the transaction ID."""


def prepare(binding: Binding, site: Dhcp4Settings, router_mac: bytes) -> Prepared | None:
    """All that does not depend on the request; None when *binding* has no IPv4 address. Raises nothing."""
    if binding.ip is None:
        return None
    return Prepared(tell(binding, binding.ip, site, router_mac), {})


def answer(prepared: Prepared, datagram: bytes, source_mac: bytes) -> Answer:
    """What becomes of *datagram*, which begins with its IPv4 header, from *source_mac*. Raises nothing."""
    try:
        payload, covered = ipv4.open_udp(datagram, numbers.SERVER_PORT)
        key = source_mac + payload[_BEFORE_XID] + payload[_AFTER_SECONDS]
        found = prepared.replies.get(key)
        if found is None:
            asked = total(payload)
            if not ipv4.is_right(covered, asked):
                return _BAD_CHECKSUM, None
            outcome, frame = _first_time(prepared.told, payload, source_mac)
            if frame is None:
                return outcome, None
            xid, seconds = _XID_AND_SECONDS.unpack_from(payload, 4)
            found = _reply(outcome, frame, asked - xid - seconds)
            _remember(prepared.replies, key, found)
        else:
            # As a remainder of 65535, a number of two words is the sum of both.
            xid, seconds = _XID_AND_SECONDS.unpack_from(payload, 4)
            if not ipv4.is_right(covered, found.asked + xid + seconds):
                return _BAD_CHECKSUM, None
    except Malformed as err:
        return outcomes.MALFORMED[err.fault], None
    changing = _CHANGING.pack(checksum(found.remainder + xid), _REPLY_HEAD, xid)
    return found.outcome, found.before + changing + found.after


def _first_time(told: Told, payload: bytes, source_mac: bytes) -> Answer:
    """The answer to a request that is not remembered, with a transaction ID of 0. Raises Malformed."""
    refusal = message.refusal(payload, source_mac)
    if refusal is not None:
        return refusal, None
    request = message.decode(payload)
    outcome = deciding.decide(request, told.address, told.server)
    return outcome, reply.frame(told, request, outcome) if outcome.answered else None


def _reply(outcome: Outcome, frame: bytes, asked: int) -> Reply:
    given = int.from_bytes(frame[_CHECKSUM_AT : _CHECKSUM_AT + 2], "big")
    return Reply(outcome, frame[:_CHECKSUM_AT], 0xFFFF - given, frame[_CHECKSUM_AT + _CHANGING.size :], asked)


def _remember(replies: dict[bytes, Reply], key: bytes, made: Reply) -> None:
    if len(key) <= _LONGEST_REMEMBERED:
        if len(replies) >= _REMEMBERED:
            del replies[next(iter(replies))]
        replies[key] = made
