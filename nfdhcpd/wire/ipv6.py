# SPDX-License-Identifier: BSD-2-Clause
"""IPv6 (RFC 8200) with one UDP (RFC 768) or ICMPv6 (RFC 4443) message in it, over Ethernet (RFC 2464)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from ganeti_cloud import netvalues
from nfdhcpd.wire import ethernet
from nfdhcpd.wire.checksum import checksum, total
from nfdhcpd.wire.malformed import Fault, Malformed

UNSPECIFIED = bytes(16)
LOOPBACK = bytes(15) + b"\1"
ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
ALL_NODES_MAC = bytes.fromhex("333300000001")  # RFC 2464, 7
LINK_LOCAL_PREFIX = bytes.fromhex("fe80000000000000")

_VERSION = b"\x60\0\0\0"  # traffic class and flow label 0
_HEADER = 40
_UDP_HEADER = 8
_UDP = 17
_ICMPV6 = 58
# RFC 4861, 4: what has been forwarded has a smaller one.
_NEVER_FORWARDED = 255
_HOP_LIMIT = 64
_PORTS = struct.Struct("!HHH")


# Hop-by-hop, routing, ESP, AH, destination options, mobility, HIP, shim6.
_FAULTS = dict.fromkeys((0, 43, 50, 51, 60, 135, 139, 140), Fault.EXTENSION_HEADER) | {44: Fault.FRAGMENT}


def link_local(mac: bytes) -> bytes:
    """The link-local address that goes with *mac*."""
    return LINK_LOCAL_PREFIX + netvalues.interface_identifier(mac)


def neighbour_message(datagram: bytes) -> tuple[bytes, bytes, bytes]:
    """Source, destination and ICMPv6 message of *datagram*, which comes from a neighbour. Raises Malformed."""
    end = _end(datagram, _ICMPV6)
    if datagram[7] != _NEVER_FORWARDED:
        raise Malformed(Fault.FORWARDED)
    if (total(datagram[8:end]) + end - _HEADER + _ICMPV6) % 0xFFFF:
        raise Malformed(Fault.BAD_CHECKSUM)
    return datagram[8:24], datagram[24:40], datagram[_HEADER:end]


def udp_payload(datagram: bytes, port: int) -> tuple[bytes, bytes, bytes]:
    """Source, destination and UDP payload of *datagram*, which is sent to *port*. Raises Malformed."""
    end = _end(datagram, _UDP)
    if end < _HEADER + _UDP_HEADER:
        raise Malformed(Fault.BAD_LENGTH)
    _, destination_port, length = _PORTS.unpack_from(datagram, _HEADER)
    if destination_port != port:
        raise Malformed(Fault.WRONG_PORT)
    if not _UDP_HEADER <= length <= end - _HEADER:
        raise Malformed(Fault.BAD_LENGTH)
    end = _HEADER + length
    # A checksum of 0, "none", is not allowed over IPv6 (RFC 8200, 8.1).
    if not (datagram[46] or datagram[47]) or (total(datagram[8:end]) + length + _UDP) % 0xFFFF:
        raise Malformed(Fault.BAD_CHECKSUM)
    return datagram[8:24], datagram[24:40], datagram[48:end]


def _end(datagram: bytes, protocol: int) -> int:
    """Where *datagram* ends, when *protocol* comes right after its IPv6 header."""
    if len(datagram) < _HEADER:
        raise Malformed(Fault.TRUNCATED)
    if datagram[0] >> 4 != 6:
        raise Malformed(Fault.NOT_IPV6)
    following = datagram[6]
    if following != protocol:
        raise Malformed(_FAULTS.get(following, Fault.OTHER_PROTOCOL))
    end = _HEADER + (datagram[4] << 8 | datagram[5])
    if end > len(datagram):
        raise Malformed(Fault.TRUNCATED)
    if datagram[8] == 0xFF or datagram[8:24] == LOOPBACK:
        raise Malformed(Fault.BAD_SOURCE)
    return end


class NeighbourTemplate(NamedTuple):
    """A frame with an ICMPv6 message to a neighbour, without its destination and some varying bytes."""

    head: bytes
    """From the Ethernet source to the IPv6 source."""
    kind: bytes
    """Type and code."""
    before: bytes
    """From the checksum to the varying bytes."""
    after: bytes
    remainder: int
    """The part of the checksum that is known."""


def neighbour_template(
    mac: bytes, source: bytes, kind: bytes, before: bytes, after: bytes = b"", varying: int = 0
) -> NeighbourTemplate:
    """What *source*, at *mac*, says again and again; all parts, as *varying* bytes of it, are of even length."""
    length = 4 + len(before) + varying + len(after)
    head = mac + ethernet.IPV6 + _VERSION + struct.pack("!HBB", length, _ICMPV6, _NEVER_FORWARDED) + source
    return NeighbourTemplate(head, kind, before, after, total(source + kind + before + after) + length + _ICMPV6)


def neighbour_frame(template: NeighbourTemplate, mac: bytes, destination: bytes, varying: bytes = b"") -> bytes:
    """The frame to *destination* at *mac*."""
    check = checksum(template.remainder + total(destination + varying)).to_bytes(2, "big")
    return b"".join((mac, template.head, destination, template.kind, check, template.before, varying, template.after))


class UdpTemplate(NamedTuple):
    """A frame with a UDP datagram, without what is known only when there is a payload and where it goes."""

    ethernet: bytes
    """From the Ethernet source to the payload length."""
    source: bytes
    """From the next header to the IPv6 source."""
    ports: bytes
    remainder: int


def udp_template(mac: bytes, source: bytes, source_port: int, destination_port: int) -> UdpTemplate:
    """What *source*, at *mac*, sends from its *source_port* to others' *destination_port*."""
    ports = struct.pack("!HH", source_port, destination_port)
    return UdpTemplate(
        mac + ethernet.IPV6 + _VERSION, bytes((_UDP, _HOP_LIMIT)) + source, ports, total(source + ports) + _UDP
    )


def udp_frame(template: UdpTemplate, mac: bytes, destination: bytes, payload: bytes) -> bytes:
    """The frame with *payload* to *destination* at *mac*."""
    length = _UDP_HEADER + len(payload)
    size = length.to_bytes(2, "big")
    # The length counts twice: in the UDP header and in the pseudo-header (RFC 8200, 8.1).
    check = checksum(template.remainder + 2 * length + total(destination + payload)).to_bytes(2, "big")
    return b"".join((mac, template.ethernet, size, template.source, destination, template.ports, size, check, payload))
