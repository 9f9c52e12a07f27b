# SPDX-License-Identifier: BSD-2-Clause
"""Datagrams of IPv6 with right lengths and checksums, and what is always so of a frame that answers one."""

from __future__ import annotations

import struct

from nfdhcpd.wire.checksum import checksum, total
from tests.unit.nfdhcpd_ipv6 import ALL_NODES_MAC, MAC, ROUTER_MAC

_FRAMES = ({MAC, bytes.fromhex(ALL_NODES_MAC.replace(":", ""))}, ROUTER_MAC + b"\x86\xdd\x60\0\0\0")
_UDP = 17
ICMPV6 = 58
_CHECKSUM_AT = {_UDP: 6, ICMPV6: 2}
_NEVER_FORWARDED = 255  # RFC 4861, 4


def datagram(addresses: bytes, hop_limit: int, protocol: int, message: bytes) -> bytes:
    """*message* from the first of the *addresses* to the second. Its length, if it has one, and checksum are set."""
    changed = bytearray(message)
    at = _CHECKSUM_AT[protocol]
    changed.extend(bytes(max(at + 2 - len(changed), 0)))
    changed[at : at + 2] = bytes(2)
    length = len(changed)
    if protocol == _UDP:
        struct.pack_into("!H", changed, 4, length)
    changed[at : at + 2] = checksum(total(addresses + changed) + length + protocol).to_bytes(2, "big")
    return struct.pack("!BxxxHBB", 0x60, length, protocol, hop_limit) + addresses + changed


def neighbour(seed: bytes) -> bytes:
    """The datagram of a message of neighbour discovery: *seed* is its addresses, and then the message."""
    return datagram(seed[:32].ljust(32, b"\0"), _NEVER_FORWARDED, ICMPV6, seed[32:])


def check_frame(frame: bytes, protocol: int) -> None:
    """It goes from the router to the guest, has the lengths that it says, and the right checksum."""
    destinations, head = _FRAMES
    length = len(frame) - 54
    assert frame[:6] in destinations
    assert frame[6:18] == head
    assert frame[18:21] == struct.pack("!HB", length, protocol)
    assert length <= 1500 - 40
    assert (total(frame[22:]) + length + protocol) % 0xFFFF == 0
    if protocol == _UDP:
        assert frame[54:60] == struct.pack("!HHH", 547, 546, length)
