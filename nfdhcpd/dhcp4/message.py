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
_BEGIN = slice(0, 4)
_CHADDR = slice(28, 34)
_GIADDR = slice(24, 28)
_COOKIE = slice(numbers.FIXED, _OPTIONS)
_FLAGS_TO_CHADDR = slice(10, 34)

# What an option is to an answer: nothing, something of its own, or more than that.
_PASSED_OVER, _ASKED, _SPECIAL = range(3)


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
    if len(payload) < numbers.FIXED:
        return outcomes.MALFORMED[Fault.TRUNCATED]
    if payload[:3] != _REQUEST_OF_ETHERNET[:3]:
        return outcomes.NOT_A_REQUEST
    if payload[3] or payload[_GIADDR] != ANY:
        return outcomes.RELAY
    if payload[_CHADDR] != source_mac:
        return outcomes.WRONG_HARDWARE_ADDRESS
    return None if payload[_COOKIE] == numbers.MAGIC_COOKIE else outcomes.NOT_DHCP


def essence(payload: bytes, source_mac: bytes) -> bytes | None:
    """All of *payload*, from the address *source_mac*, that an answer depends on, as it stands in the message.

    Messages with the same essence have the same answer. None for one that is to be looked at more closely, and for each
    that is malformed in what it does not bring into its essence.
    """
    if (
        payload[_BEGIN] != _REQUEST_OF_ETHERNET
        or payload[_CHADDR] != source_mac
        or payload[_COOKIE] != numbers.MAGIC_COOKIE
    ):
        return None
    found = payload[_FLAGS_TO_CHADDR]
    start, end = _OPTIONS, len(payload)
    try:
        while start < end:
            code = payload[start]
            weight = _WEIGHTS[code]
            if weight == _SPECIAL:
                if code == numbers.END:
                    return found
                if code == numbers.OVERLOAD:
                    return None
                start += 1
                continue
            after = start + 2 + payload[start + 1]
            if weight:
                found += payload[start:after]
            start = after
    except IndexError:
        return None
    return found if start == end else None


def decode(payload: bytes) -> Request:
    """What *payload* says, for which there is no :func:`refusal`. Raises Malformed."""
    options = _options(payload)
    option = options.get
    kind, size = option(numbers.MESSAGE_TYPE), option(numbers.MAXIMUM_MESSAGE_SIZE)
    return Request(
        None if kind is None else kind[0],
        bool(payload[10] & numbers.BROADCAST_FLAG >> 8),
        payload[12:16],
        payload[_CHADDR],
        option(numbers.REQUESTED_ADDRESS),
        option(numbers.SERVER_IDENTIFIER),
        option(numbers.PARAMETER_REQUEST_LIST),
        option(numbers.CLIENT_IDENTIFIER),
        numbers.SMALLEST_LIMIT if size is None else max(numbers.SMALLEST_LIMIT, int.from_bytes(size, "big")),
        numbers.RAPID_COMMIT in options,
    )


def _options(payload: bytes) -> dict[int, bytes]:
    """The options by number, from the fields that hold them, in the order of RFC 2131, 4.1."""
    options: dict[int, bytes] = {}
    _collect(options, payload[_OPTIONS:])
    overload = options.get(numbers.OVERLOAD)
    if overload is not None:
        if overload not in {b"\x01", b"\x02", b"\x03"}:
            raise Malformed(Fault.BAD_OPTION)
        if overload[0] & 1:
            _collect(options, payload[_FILE])
        if overload[0] & 2:
            _collect(options, payload[_SNAME])
    for code, value in options.items():
        if len(value) != _LENGTHS.get(code, len(value)):
            raise Malformed(Fault.BAD_OPTION)
    if len(options.get(numbers.CLIENT_IDENTIFIER, b"")) > _LONGEST_IDENTIFIER:
        raise Malformed(Fault.BAD_OPTION)
    return options


def _collect(options: dict[int, bytes], area: bytes) -> None:
    """Add the options in *area*. What comes in parts is put together (RFC 3396); a missing end is the area's end."""
    position, end = 0, len(area)
    while position < end:
        code = area[position]
        position += 1
        if code == numbers.PAD:
            continue
        if code == numbers.END:
            return
        if position == end:
            raise Malformed(Fault.BAD_OPTION)
        start = position + 1
        position = start + area[position]
        if position > end:
            raise Malformed(Fault.BAD_OPTION)
        options[code] = options[code] + area[start:position] if code in options else area[start:position]
