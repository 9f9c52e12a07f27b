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

# What stands first in an essence, from the flags to chaddr.
_LOOKED_AT = slice(10, 34)
_FIXED_IN_ESSENCE = 24

# What an option is to an answer, by its number.
_NOTHING, _ASKED, _SPECIAL = range(3)


def _weights() -> bytes:
    found = bytearray(256)
    for code in (*_LENGTHS, numbers.PARAMETER_REQUEST_LIST, numbers.CLIENT_IDENTIFIER):
        found[code] = _ASKED
    for code in (numbers.PAD, numbers.END, numbers.OVERLOAD):
        found[code] = _SPECIAL
    return bytes(found)


_WEIGHTS = _weights()


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


def essence(payload: bytes) -> bytes:
    """All of *payload* that an answer depends on, as it stands there; there is no :func:`refusal`. Raises Malformed.

    That is far less than to understand it, and tells whether a message with the same essence was answered before.
    """
    options, is_overloaded = _asked(payload[_OPTIONS:])
    if is_overloaded:
        options += _elsewhere(payload, options)
    return payload[_LOOKED_AT] + options


def _elsewhere(payload: bytes, options: bytes) -> bytes:
    """What is asked in the other fields that hold options, as *options* say, in the order of RFC 2131, 4.1."""
    overload = _values(options)[numbers.OVERLOAD]
    if overload not in {b"\x01", b"\x02", b"\x03"}:
        raise Malformed(Fault.BAD_OPTION)
    more = b""
    if overload[0] & 1:
        more += _asked(payload[_FILE])[0]
    if overload[0] & 2:
        more += _asked(payload[_SNAME])[0]
    return more


def _asked(area: bytes) -> tuple[bytes, bool]:
    """The options in *area* that an answer depends on, as they stand there; and whether other fields hold options.

    A missing end is the area's end.
    """
    found, is_overloaded = b"", False
    start, end = 0, len(area)
    try:
        while start < end:
            code = area[start]
            weight = _WEIGHTS[code]
            if weight == _SPECIAL:
                if code == numbers.END:
                    return found, is_overloaded
                if code == numbers.PAD:
                    start += 1
                    continue
                is_overloaded = True
            after = start + 2 + area[start + 1]
            if weight:
                found += area[start:after]
            start = after
    except IndexError:
        raise Malformed(Fault.BAD_OPTION) from None
    if start > end:
        raise Malformed(Fault.BAD_OPTION)
    return found, is_overloaded


def decode(essence: bytes) -> Request:
    """What a message with this :func:`essence` says. Raises Malformed."""
    options = _values(essence[_FIXED_IN_ESSENCE:])
    for code, value in options.items():
        if len(value) != _LENGTHS.get(code, len(value)):
            raise Malformed(Fault.BAD_OPTION)
    if len(options.get(numbers.CLIENT_IDENTIFIER, b"")) > _LONGEST_IDENTIFIER:
        raise Malformed(Fault.BAD_OPTION)
    option = options.get
    kind, size = option(numbers.MESSAGE_TYPE), option(numbers.MAXIMUM_MESSAGE_SIZE)
    return Request(
        None if kind is None else kind[0],
        bool(essence[0] & numbers.BROADCAST_FLAG >> 8),
        essence[2:6],
        essence[18:24],
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
