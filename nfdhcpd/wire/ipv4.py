# SPDX-License-Identifier: BSD-2-Clause
"""UDP over IPv4 (RFC 791, 768)."""

from __future__ import annotations

import struct

from nfdhcpd.wire.checksum import checksum, total
from nfdhcpd.wire.malformed import Fault, Malformed

BROADCAST = b"\xff" * 4
ANY = bytes(4)

HEADER = 20
"""Bytes of an IPv4 header without options, as this module makes them."""
UDP_HEADER = 8

_UDP = struct.Struct("!HHHH")
_READ = struct.Struct("!HHHHHHIIHHHH")
_MADE = struct.Struct("!HHHHHH4s4sHHH")

_PROTOCOL_UDP = 17
_MORE_FRAGMENTS_OR_OFFSET = 0x3FFF
# The words of a header that are always the same: DHCP servers ask for low delay, which gives a guest's boot its way in
# networks that look at it; a datagram that is never taken apart needs no identification (RFC 6864, 4.1).
_VERSION_AND_SERVICE = 0x4510
_IDENTIFICATION = 0
_DO_NOT_FRAGMENT = 0x4000
_TIME_AND_PROTOCOL = 64 << 8 | _PROTOCOL_UDP
_SAME = _VERSION_AND_SERVICE + _IDENTIFICATION + _DO_NOT_FRAGMENT + _TIME_AND_PROTOCOL


Udp = tuple[bytes, int | None]
"""The payload of a UDP datagram, still to be checked by :func:`is_right`, and what the checksum covers besides it adds
up to; None when the sender gave no checksum."""


def open_udp(datagram: bytes, port: int) -> Udp:
    """What *datagram*, which begins with its IPv4 header, brings to the UDP *port*. Raises Malformed.

    Bytes after the length that a header says are no part of it: Ethernet pads short frames (RFC 894).
    """
    if len(datagram) < HEADER + UDP_HEADER:
        raise Malformed(Fault.TRUNCATED)
    # Both headers at once, as nearly every IPv4 header is without options.
    (
        first,
        length,
        number,
        fragment,
        protocol,
        check,
        source,
        destination,
        source_port,
        destination_port,
        size,
        given,
    ) = _READ.unpack_from(datagram)
    start = first >> 6 & 0x3C
    if first >> 12 != 4 or start < HEADER or length < start + UDP_HEADER:
        raise Malformed(Fault.BAD_LENGTH)
    if length > len(datagram):
        raise Malformed(Fault.TRUNCATED)
    # Of a number of 32 bits the sum of its halves is the same, as a remainder of 65535, as the number.
    addresses = source + destination
    header = first + length + number + fragment + protocol + check + addresses
    if start > HEADER:
        header += total(datagram[HEADER:start])
        source_port, destination_port, size, given = _UDP.unpack_from(datagram, start)
    if header % 0xFFFF:
        raise Malformed(Fault.BAD_CHECKSUM)
    if fragment & _MORE_FRAGMENTS_OR_OFFSET:
        raise Malformed(Fault.FRAGMENT)
    if protocol & 0xFF != _PROTOCOL_UDP:
        raise Malformed(Fault.NOT_UDP)
    if not UDP_HEADER <= size <= length - start:
        raise Malformed(Fault.BAD_LENGTH)
    if destination_port != port:
        raise Malformed(Fault.WRONG_PORT)
    payload = datagram[start + UDP_HEADER : start + size]
    if not given:
        return payload, None
    # The pseudo-header has both addresses, the protocol and the length.
    return payload, addresses + _PROTOCOL_UDP + size + source_port + destination_port + size + given


def is_right(remainder: int | None, payload_total: int) -> bool:
    """Whether a payload that adds up to *payload_total* arrived as it was sent."""
    return remainder is None or (remainder + payload_total) % 0xFFFF == 0


def udp_headers(
    source: bytes, destination: bytes, source_port: int, destination_port: int, length: int
) -> tuple[bytes, int]:
    """The headers of a payload of *length* bytes, as far as the checksum of UDP, which is the last thing in them.

    With it comes what the checksum has to make right besides the payload. The addresses have four bytes.
    """
    size = UDP_HEADER + length
    addresses = total(source + destination)
    check = checksum(_SAME + HEADER + size + addresses)
    headers = _MADE.pack(
        *(_VERSION_AND_SERVICE, HEADER + size, _IDENTIFICATION, _DO_NOT_FRAGMENT, _TIME_AND_PROTOCOL, check),
        *(source, destination, source_port, destination_port, size),
    )
    return headers, addresses + _PROTOCOL_UDP + source_port + destination_port + 2 * size


def udp_datagram(source: bytes, destination: bytes, source_port: int, destination_port: int, payload: bytes) -> bytes:
    """The IPv4 datagram that brings *payload*; the addresses have four bytes."""
    headers, remainder = udp_headers(source, destination, source_port, destination_port, len(payload))
    return headers + checksum(remainder + total(payload)).to_bytes(2, "big") + payload
