# SPDX-License-Identifier: BSD-2-Clause
"""Telling the neighbours of the node that a guest's addresses are at the node's MAC from now on.

By frames straight onto the uplink: the node has none of these addresses, so no socket of IP could send from them.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address

_BROADCAST = b"\xff" * 6
_ARP, _IPV6 = b"\x08\x06", b"\x86\xdd"
_ARP_REQUEST = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)  # Ethernet, IPv4, their lengths, request (RFC 826)

_ALL_NODES = bytes.fromhex("ff020000000000000000000000000001")
_ALL_NODES_MAC = bytes.fromhex("333300000001")  # RFC 2464, 7
_ICMPV6 = 58
_ADVERTISEMENT = 136
_OVERRIDE = 1 << 29  # RFC 4861, 4.4
_TARGET_LINK_LAYER = b"\x02\x01"


def announcement(address: IPv4Address | IPv6Address, mac: bytes) -> bytes:
    """The frame that says that *address* is at *mac*."""
    return arp(address, mac) if isinstance(address, IPv4Address) else advertisement(address, mac)


def arp(address: IPv4Address, mac: bytes) -> bytes:
    """An ARP announcement (RFC 5227, 3).

    It is a request: every host takes the sender of one into account (RFC 826), while some drop answers to what they
    have not asked.
    """
    sender = mac + address.packed
    return _BROADCAST + mac + _ARP + _ARP_REQUEST + sender + bytes(6) + address.packed


def advertisement(address: IPv6Address, mac: bytes) -> bytes:
    """An unsolicited neighbour advertisement (RFC 4861, 7.2.6).

    With the flag to override what is known: the node is the only one that answers for this address now, and the one
    before it had another MAC.
    """
    body = struct.pack("!I", _OVERRIDE) + address.packed + _TARGET_LINK_LAYER + mac
    length = 4 + len(body)
    pseudo = address.packed + _ALL_NODES + struct.pack("!II", length, _ICMPV6)
    head = bytes((_ADVERTISEMENT, 0))
    message = head + _checksum(pseudo + head + bytes(2) + body) + body
    header = struct.pack("!IHBB", 6 << 28, length, _ICMPV6, 255) + address.packed + _ALL_NODES
    return _ALL_NODES_MAC + mac + _IPV6 + header + message


def send(frames: Iterable[tuple[str, bytes]]) -> None:
    """Put each frame onto the interface of that name. Raises OSError."""
    # One socket for all: to close one takes the kernel some 10 ms (packet(7), RCU). Protocol 0 receives nothing.
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0) as sender:
        for interface, frame in frames:
            sender.sendto(frame, (interface, 0))


def _checksum(data: bytes) -> bytes:
    """The Internet checksum (RFC 1071) of an even number of bytes."""
    return (0xFFFF - int.from_bytes(data, "big") % 0xFFFF).to_bytes(2, "big")
