# SPDX-License-Identifier: BSD-2-Clause
"""A client's message: hostile bytes in, what it says out."""

from __future__ import annotations

from typing import NamedTuple

from nfdhcpd.dhcp4 import numbers, outcomes
from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.wire.ipv4 import ANY
from nfdhcpd.wire.malformed import Fault, Malformed

# Its largest value as one option; no client has a longer one, and every answer brings it back.
_LONGEST_IDENTIFIER = 255

_LENGTHS = {
    numbers.REQUESTED_ADDRESS: 4,
    numbers.OVERLOAD: 1,
    numbers.MESSAGE_TYPE: 1,
    numbers.SERVER_IDENTIFIER: 4,
    numbers.MAXIMUM_MESSAGE_SIZE: 2,
    numbers.RAPID_COMMIT: 0,
}

_SNAME = slice(44, 108)
_FILE = slice(108, numbers.FIXED)
_OPTIONS = numbers.FIXED + len(numbers.MAGIC_COOKIE)

_REQUEST_OF_ETHERNET = bytes((numbers.BOOTREQUEST, numbers.ETHERNET, 6, 0))
_HOPS = 3
_BEGIN = slice(0, _HOPS + 1)
_CHADDR = slice(28, 34)
_GIADDR = slice(24, 28)
_GIADDR_AND_CHADDR = slice(24, 34)
_COOKIE = slice(numbers.FIXED, _OPTIONS)

_FLAGS_TO_CHADDR = slice(10, 34)
_FIXED_IN_WISH = 24

# What an option, by its number, says of the answer: nothing, which it is, what it tells, or where more options are.
_NOTHING, _CALL, _WISH, _SPECIAL = range(4)
_CALLS = (numbers.MESSAGE_TYPE, numbers.REQUESTED_ADDRESS, numbers.SERVER_IDENTIFIER, numbers.RAPID_COMMIT)
_WISHES = (numbers.PARAMETER_REQUEST_LIST, numbers.MAXIMUM_MESSAGE_SIZE, numbers.CLIENT_IDENTIFIER)
_SPECIALS = (numbers.PAD, numbers.END, numbers.OVERLOAD)


def _weights() -> bytes:
    found = bytearray(256)
    for codes, weight in ((_CALLS, _CALL), (_WISHES, _WISH), (_SPECIALS, _SPECIAL)):
        for code in codes:
            found[code] = weight
    return bytes(found)


_WEIGHTS = _weights()


Essence = tuple[bytes, bytes]
"""All of a message that an answer depends on, as it stands there. Messages with the same have the same answer.

First its call: the options that say which answer it is. Then its wish, which says whom the answer tells what: the fixed
part from the flags to chaddr, and the other options.
"""


class Request(NamedTuple):
    """What an answer depends on. Addresses have four bytes; an option that is not there is None."""

    message_type: int | None
    broadcast: bool
    """The client cannot take a unicast before it has its address (RFC 2131, 4.1)."""
    ciaddr: bytes
    mac: bytes
    requested_address: bytes | None
    server: bytes | None
    parameters: bytes | None
    client_identifier: bytes | None
    maximum_size: int
    """Of the IP datagram that answers."""
    rapid_commit: bool


def refusal(payload: bytes, source_mac: bytes) -> Outcome | None:
    """Why *payload* cannot be a DHCP message that the client with the address *source_mac* itself sent; else None."""
    if (
        payload[_BEGIN] == _REQUEST_OF_ETHERNET
        and payload[_GIADDR_AND_CHADDR] == ANY + source_mac
        and payload[_COOKIE] == numbers.MAGIC_COOKIE
    ):
        return None
    if len(payload) < numbers.FIXED:
        return outcomes.MALFORMED[Fault.TRUNCATED]
    if payload[:_HOPS] != _REQUEST_OF_ETHERNET[:_HOPS]:
        return outcomes.NOT_A_REQUEST
    if payload[_HOPS] or payload[_GIADDR] != ANY:
        return outcomes.RELAY
    return outcomes.WRONG_HARDWARE_ADDRESS if payload[_CHADDR] != source_mac else outcomes.NOT_DHCP


def essence(payload: bytes) -> Essence:
    """Of *payload*, for which there is no :func:`refusal`. Raises Malformed.

    To take it out is far less than to understand it, and tells whether it was understood before.
    """
    call, wish, is_overloaded = _asked(payload[_OPTIONS:])
    if is_overloaded:
        for field in _other_fields(wish):
            more_call, more_wish, _ = _asked(payload[field])
            call, wish = call + more_call, wish + more_wish
    return call, payload[_FLAGS_TO_CHADDR] + wish


def _other_fields(options: bytes) -> list[slice]:
    """Those that hold options as *options* say, in the order of RFC 2131, 4.1."""
    overload = _values(options)[numbers.OVERLOAD]
    if overload not in {b"\x01", b"\x02", b"\x03"}:
        raise Malformed(Fault.BAD_OPTION)
    return [field for bit, field in ((1, _FILE), (2, _SNAME)) if overload[0] & bit]


def _asked(area: bytes) -> tuple[bytes, bytes, bool]:
    """The options in *area* that are a call, those that are a wish, and whether other fields hold options.

    A missing end is the area's end.
    """
    call, wish, is_overloaded = b"", b"", False
    start, end = 0, len(area)
    try:
        while start < end:
            code = area[start]
            weight = _WEIGHTS[code]
            if weight == _SPECIAL:
                if code == numbers.END:
                    return call, wish, is_overloaded
                if code == numbers.PAD:
                    start += 1
                    continue
                is_overloaded = True
            after = start + 2 + area[start + 1]
            if weight == _CALL:
                call += area[start:after]
            elif weight:
                wish += area[start:after]
            start = after
    except IndexError:
        raise Malformed(Fault.BAD_OPTION) from None
    if start > end:
        raise Malformed(Fault.BAD_OPTION)
    return call, wish, is_overloaded


def decode(essence: Essence) -> Request:
    """What a message says that comes to *essence*. Raises Malformed."""
    call, wish = essence
    options = _values(call + wish[_FIXED_IN_WISH:])
    for code, value in options.items():
        if len(value) != _LENGTHS.get(code, len(value)):
            raise Malformed(Fault.BAD_OPTION)
    if len(options.get(numbers.CLIENT_IDENTIFIER, b"")) > _LONGEST_IDENTIFIER:
        raise Malformed(Fault.BAD_OPTION)
    option = options.get
    kind, size = option(numbers.MESSAGE_TYPE), option(numbers.MAXIMUM_MESSAGE_SIZE)
    return Request(
        None if kind is None else kind[0],
        bool(wish[0] & numbers.BROADCAST_FLAG >> 8),
        wish[2:6],
        wish[18:24],
        option(numbers.REQUESTED_ADDRESS),
        option(numbers.SERVER_IDENTIFIER),
        option(numbers.PARAMETER_REQUEST_LIST),
        option(numbers.CLIENT_IDENTIFIER),
        numbers.SMALLEST_LIMIT if size is None else max(numbers.SMALLEST_LIMIT, int.from_bytes(size, "big")),
        numbers.RAPID_COMMIT in options,
    )


def _values(options: bytes) -> dict[int, bytes]:
    """Well-formed *options* by number. What comes in parts is put together (RFC 3396)."""
    values: dict[int, bytes] = {}
    start, end = 0, len(options)
    while start < end:
        code = options[start]
        after = start + 2 + options[start + 1]
        value = options[start + 2 : after]
        values[code] = values[code] + value if code in values else value
        start = after
    return values
