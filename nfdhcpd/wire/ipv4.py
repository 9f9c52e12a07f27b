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

_IPV4 = struct.Struct("!BxHxxHxBxx4s4s")
_UDP = struct.Struct("!HHHH")
_MADE = struct.Struct("!BBHHHBBH4s4s")

_PROTOCOL_UDP = 17
_MORE_FRAGMENTS_OR_OFFSET = 0x3FFF
_DO_NOT_FRAGMENT = 0x4000
# DHCP servers ask for low delay; networks that still look at it give a guest's boot its way.
_LOW_DELAY = 0x10
_TIME_TO_LIVE = 64


def udp_payload(datagram: bytes, port: int) -> bytes:
    """What *datagram*, which begins with its IPv4 header, brings to the UDP *port*. Raises Malformed.

    Bytes after the length that a header says are no part of it (RFC 1122, 3.2.1; Ethernet pads short frames).
    """
    if len(datagram) < HEADER + UDP_HEADER:
        raise Malformed(Fault.TRUNCATED)
    first, length, fragment, protocol, _, _ = _IPV4.unpack_from(datagram)
    start = (first & 0x0F) << 2
    if first >> 4 != 4 or start < HEADER or length < start + UDP_HEADER:
        raise Malformed(Fault.BAD_LENGTH)
    if length > len(datagram):
        raise Malformed(Fault.TRUNCATED)
    if total(datagram[:start]):
        raise Malformed(Fault.BAD_CHECKSUM)
    if fragment & _MORE_FRAGMENTS_OR_OFFSET:
        raise Malformed(Fault.FRAGMENT)
    if protocol != _PROTOCOL_UDP:
        raise Malformed(Fault.NOT_UDP)
    _, destination_port, size, given = _UDP.unpack_from(datagram, start)
    if not UDP_HEADER <= size <= length - start:
        raise Malformed(Fault.BAD_LENGTH)
    end = start + size
    # The pseudo-header: both addresses, the protocol and the length. Without a checksum there is 0.
    if given and (total(datagram[12:20]) + _PROTOCOL_UDP + size + total(datagram[start:end])) % 0xFFFF:
        raise Malformed(Fault.BAD_CHECKSUM)
    if destination_port != port:
        raise Malformed(Fault.WRONG_PORT)
    return datagram[start + UDP_HEADER : end]


def udp_datagram(source: bytes, destination: bytes, source_port: int, destination_port: int, payload: bytes) -> bytes:
    """The IPv4 datagram that brings *payload*; the addresses have four bytes."""
    size = UDP_HEADER + len(payload)
    ports = (source_port, destination_port, size)
    remainder = total(source + destination) + _PROTOCOL_UDP + size + sum(ports) + total(payload)
    udp = _UDP.pack(*ports, checksum(remainder)) + payload
    return _header(source, destination, HEADER + size) + udp


def _header(source: bytes, destination: bytes, length: int) -> bytes:
    # A datagram that is never taken apart needs no identification (RFC 6864, 4.1).
    fields = (0x45, _LOW_DELAY, length, 0, _DO_NOT_FRAGMENT, _TIME_TO_LIVE, _PROTOCOL_UDP)
    return _MADE.pack(*fields, checksum(total(_MADE.pack(*fields, 0, source, destination))), source, destination)
