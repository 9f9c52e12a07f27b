# SPDX-License-Identifier: BSD-2-Clause
"""One DHCPv4 packet of one guest in, one answer out."""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeVar

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp4 import deciding, message, numbers, outcomes
from nfdhcpd.dhcp4.message import Request
from nfdhcpd.dhcp4.reply import frame
from nfdhcpd.dhcp4.told import Told, tell
from nfdhcpd.packets.outcome import Answer, Outcome
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

_Asked = TypeVar("_Asked")
_Answered = TypeVar("_Answered")

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


class Prepared(NamedTuple):
    """What the guest of one tap is told, and the last answers that it got."""

    told: Told
    by_message: dict[bytes, tuple[Reply, int]]
    """By the sender and all of a message but its transaction ID and seconds; with what the message adds up to without
    these, as a remainder of 65535."""
    by_request: dict[Request, Reply]
    """By what an answer depends on: messages that differ in what nobody asks of them have the same."""


def prepare(binding: Binding, site: Dhcp4Settings, router_mac: bytes) -> Prepared | None:
    """All that does not depend on the request; None when *binding* has no IPv4 address. Raises nothing."""
    if binding.ip is None:
        return None
    return Prepared(tell(binding, binding.ip, site, router_mac), {}, {})


def answer(prepared: Prepared, datagram: bytes, source_mac: bytes) -> Answer:
    """What becomes of *datagram*, which begins with its IPv4 header, from *source_mac*. Raises nothing."""
    try:
        payload, covered = ipv4.open_udp(datagram, numbers.SERVER_PORT)
        key = source_mac + payload[_BEFORE_XID] + payload[_AFTER_SECONDS]
        found = prepared.by_message.get(key)
        if found is None:
            asked = total(payload)
            if not ipv4.is_right(covered, asked):
                return _BAD_CHECKSUM, None
            outcome, reply = _understood(prepared, payload, source_mac)
            if reply is None:
                return outcome, None
            xid, seconds = _XID_AND_SECONDS.unpack_from(payload, 4)
            if len(key) <= _LONGEST_REMEMBERED:
                _remember(prepared.by_message, key, (reply, asked - xid - seconds))
        else:
            # As a remainder of 65535, a number of two words is the sum of both.
            xid, seconds = _XID_AND_SECONDS.unpack_from(payload, 4)
            reply, asked = found
            if not ipv4.is_right(covered, asked + xid + seconds):
                return _BAD_CHECKSUM, None
    except Malformed as err:
        return outcomes.MALFORMED[err.fault], None
    changing = _CHANGING.pack(checksum(reply.remainder + xid), _REPLY_HEAD, xid)
    return reply.outcome, reply.before + changing + reply.after


def _understood(prepared: Prepared, payload: bytes, source_mac: bytes) -> tuple[Outcome, Reply | None]:
    """What a message calls for that is not remembered byte by byte. Raises Malformed."""
    refusal = message.refusal(payload, source_mac)
    if refusal is not None:
        return refusal, None
    request = message.decode(payload)
    reply = prepared.by_request.get(request)
    if reply is None:
        told = prepared.told
        outcome = deciding.decide(request, told.address, told.server)
        if not outcome.answered:
            return outcome, None
        reply = _reply(outcome, frame(told, request, outcome))
        if len(payload) <= _LONGEST_REMEMBERED:
            _remember(prepared.by_request, request, reply)
    return reply.outcome, reply


def _reply(outcome: Outcome, made: bytes) -> Reply:
    given = int.from_bytes(made[_CHECKSUM_AT : _CHECKSUM_AT + 2], "big")
    return Reply(outcome, made[:_CHECKSUM_AT], 0xFFFF - given, made[_CHECKSUM_AT + _CHANGING.size :])


def _remember(answers: dict[_Asked, _Answered], asked: _Asked, answered: _Answered) -> None:
    """The oldest one makes room."""
    if len(answers) >= _REMEMBERED:
        del answers[next(iter(answers))]
    answers[asked] = answered
