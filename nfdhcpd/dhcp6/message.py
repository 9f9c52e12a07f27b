# SPDX-License-Identifier: BSD-2-Clause
"""A message of a DHCPv6 client, taken apart (RFC 8415, 8 and 21)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from nfdhcpd.dhcp6 import numbers
from nfdhcpd.wire.malformed import Fault, Malformed

_HEADER = 4
_OPTION = struct.Struct("!HH")
# Identity association: its fixed part, what is leased in it, how long that is at least, and where the address is.
_ASSOCIATIONS = {
    numbers.IA_NA: (12, numbers.IA_ADDRESS, 24, slice(0, 16)),
    numbers.IA_TA: (4, numbers.IA_ADDRESS, 24, slice(0, 16)),
    numbers.IA_PD: (12, numbers.IA_PREFIX, 25, slice(8, 25)),
}
# RFC 8415, 11.1: a type and one to 128 bytes.
_LEAST_IDENTIFIER = 3
_GREATEST_IDENTIFIER = 130


class Association(NamedTuple):
    """An identity association."""

    kind: int
    identifier: bytes
    leases: tuple[bytes, ...]
    """The addresses in it; prefixes with their length before them."""


class Message(NamedTuple):
    """What a client says, as far as it matters to this server."""

    client: bytes | None
    server: bytes | None
    associations: tuple[Association, ...]
    requested: tuple[int, ...]
    """The options that the client asks for."""
    rapid_commit: bool


def decode(payload: bytes) -> Message:
    """*payload* after its type, which is one of a client. Raises Malformed."""
    client = server = None
    associations = []
    requested: list[int] = []
    rapid_commit = False
    for code, start, end in _options(payload, _HEADER, len(payload)):
        if code == numbers.CLIENT_IDENTIFIER:
            client = _identifier(client, payload[start:end])
        elif code == numbers.SERVER_IDENTIFIER:
            server = _identifier(server, payload[start:end])
        elif code == numbers.OPTION_REQUEST:
            requested.extend(_codes(payload, start, end))
        elif code == numbers.RAPID_COMMIT:
            rapid_commit = True
        elif code in _ASSOCIATIONS:
            associations.append(_association(code, payload, start, end))
    return Message(client, server, tuple(associations), tuple(requested), rapid_commit)


def _options(payload: bytes, position: int, end: int) -> list[tuple[int, int, int]]:
    """Code, start and end of each option from *position* to *end*. Raises Malformed when they end elsewhere."""
    found = []
    while position < end:
        if end - position < _OPTION.size:
            raise Malformed(Fault.BAD_OPTION)
        code, length = _OPTION.unpack_from(payload, position)
        start = position + _OPTION.size
        position = start + length
        found.append((code, start, position))
    if position > end:
        raise Malformed(Fault.BAD_OPTION)
    return found


def _identifier(known: bytes | None, found: bytes) -> bytes:
    """*found*, the only one of its kind."""
    if known is not None or not _LEAST_IDENTIFIER <= len(found) <= _GREATEST_IDENTIFIER:
        raise Malformed(Fault.BAD_OPTION)
    return found


def _codes(payload: bytes, start: int, end: int) -> tuple[int, ...]:
    if end - start & 1:
        raise Malformed(Fault.BAD_OPTION)
    return struct.unpack_from(f"!{(end - start) // 2}H", payload, start)


def _association(kind: int, payload: bytes, start: int, end: int) -> Association:
    fixed, leased, least, where = _ASSOCIATIONS[kind]
    leases = []
    for code, first, last in _options(payload, start + fixed, end):
        if code == leased:
            if last - first < least:
                raise Malformed(Fault.BAD_OPTION)
            leases.append(payload[first:last][where])
    return Association(kind, payload[start : start + 4], tuple(leases))
