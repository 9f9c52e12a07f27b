# SPDX-License-Identifier: BSD-2-Clause
"""One DHCPv4 packet of one guest in, one answer out."""

from __future__ import annotations

import struct
from typing import NamedTuple, TypeVar

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp4 import deciding, message, numbers, outcomes
from nfdhcpd.dhcp4.message import Essence
from nfdhcpd.dhcp4.options import option
from nfdhcpd.dhcp4.reply import Reply, acknowledged, frame, make
from nfdhcpd.dhcp4.told import Told, tell
from nfdhcpd.packets.outcome import Answer, Outcome
from nfdhcpd.settings import Dhcp4Settings
from nfdhcpd.wire import ipv4
from nfdhcpd.wire.checksum import total
from nfdhcpd.wire.malformed import Fault, Malformed

# Before these are the operation and the kind of hardware, which are the same in all that is answered, and what differs
# between two tries of the same request: the transaction ID and the seconds.
_AFTER_SECONDS = slice(10, None)
_BEGIN = struct.Struct("!IIH")
_REQUEST_OF_ETHERNET = numbers.BOOTREQUEST << 24 | numbers.ETHERNET << 16 | 6 << 8

# Of a client that would like no address rather than any other.
_DISCOVER = option(numbers.MESSAGE_TYPE, bytes((numbers.DISCOVER,)))

_Asked = TypeVar("_Asked")
_Answered = TypeVar("_Answered")

_BAD_CHECKSUM = outcomes.MALFORMED[Fault.BAD_CHECKSUM]

# DISCOVER, and REQUEST in three states.
_REMEMBERED = 4
# A request that fits what every network carries. Longer ones are answered as well, but nobody makes the memory of
# a daemon with thousands of guests fill up with them.
_LONGEST_REMEMBERED = 576


class Remembered(NamedTuple):
    """What a message was answered that stood just so."""

    source_mac: bytes
    reply: Reply
    rest: int | None
    """What the message added up to without its transaction ID and seconds, as a remainder of 65535; None when it had no
    checksum."""


_NOTHING = Remembered(bytes(7), Reply(_BAD_CHECKSUM, b"", 0, b""), None)
"""Of nobody: a MAC has six bytes."""


class Prepared(NamedTuple):
    """What the guest of one tap is told, and the last answers that it got."""

    told: Told
    by_message: dict[bytes, Remembered]
    """By all of a message that comes after its seconds."""
    by_request: dict[Essence, Reply]
    """By the essence of a message."""


def prepare(binding: Binding, site: Dhcp4Settings, router_mac: bytes) -> Prepared | None:
    """All that does not depend on the request; None when *binding* has no IPv4 address. Raises nothing."""
    if binding.ip is None:
        return None
    return Prepared(tell(binding, binding.ip, site, router_mac), {}, {})


def answer(prepared: Prepared, datagram: bytes, source_mac: bytes) -> Answer:
    """What becomes of *datagram*, which begins with its IPv4 header, from *source_mac*. Raises nothing."""
    try:
        payload, covered = ipv4.open_udp(datagram, numbers.SERVER_PORT)
        if len(payload) < numbers.FIXED:
            raise Malformed(Fault.TRUNCATED if ipv4.is_right(covered, total(payload)) else Fault.BAD_CHECKSUM)
        begin, xid, seconds = _BEGIN.unpack_from(payload)
        mac, reply, rest = prepared.by_message.get(payload[_AFTER_SECONDS], _NOTHING)
        is_known = mac == source_mac and begin == _REQUEST_OF_ETHERNET
        if covered is not None:
            if rest is None or not is_known:
                rest = total(payload) - xid - seconds
            # As a remainder of 65535, a number of two words is the sum of both.
            if not ipv4.is_right(covered, rest + xid + seconds):
                return _BAD_CHECKSUM, None
        if not is_known:
            outcome, found = _found(prepared, payload, source_mac, rest)
            if found is None:
                return outcome, None
            reply = found
    except Malformed as err:
        return outcomes.MALFORMED[err.fault], None
    return reply.outcome, frame(reply, xid)


def _found(prepared: Prepared, payload: bytes, source_mac: bytes, rest: int | None) -> tuple[Outcome, Reply | None]:
    """What a message calls for that is not remembered as it stands. Raises Malformed."""
    refusal = message.refusal(payload, source_mac)
    if refusal is not None:
        return refusal, None
    essence = message.essence(payload)
    reply = prepared.by_request.get(essence)
    if reply is None:
        outcome, reply = _made(prepared, essence)
        if reply is not None and len(payload) <= _LONGEST_REMEMBERED:
            _remember(prepared.by_request, essence, reply)
        return outcome, reply
    # Who begins says each thing once; it is from the second time on that there will be more of them.
    if len(payload) <= _LONGEST_REMEMBERED:
        _remember(prepared.by_message, payload[_AFTER_SECONDS], Remembered(source_mac, reply, rest))
    return reply.outcome, reply


def _made(prepared: Prepared, essence: Essence) -> tuple[Outcome, Reply | None]:
    """What a message calls for whose like there was not before. Raises Malformed."""
    request, told = message.decode(essence), prepared.told
    outcome = deciding.decide(request, told.address, told.server)
    if not outcome.answered:
        return outcome, None
    if outcome is outcomes.ACK and request.ciaddr == ipv4.ANY:
        _, wish = essence
        offered = prepared.by_request.get((_DISCOVER, wish))
        if offered is not None:
            return outcome, acknowledged(offered)
    return outcome, make(told, request, outcome)


def _remember(answers: dict[_Asked, _Answered], asked: _Asked, answered: _Answered) -> None:
    """The oldest one makes room."""
    if len(answers) >= _REMEMBERED:
        del answers[next(iter(answers))]
    answers[asked] = answered
