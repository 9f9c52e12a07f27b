# SPDX-License-Identifier: BSD-2-Clause
"""Options of neighbour discovery (RFC 4861, 4.6; RFC 8106): ours made, the guest's checked."""

from __future__ import annotations

import struct
from ipaddress import IPv6Network

from nfdhcpd.guests.guest6 import Lifetimes
from nfdhcpd.wire.malformed import Fault, Malformed

_SOURCE_LINK_LAYER_ADDRESS = 1
_TARGET_LINK_LAYER_ADDRESS = 2
_PREFIX_INFORMATION = 3
_MTU = 5
_RECURSIVE_DNS_SERVER = 25
_DNS_SEARCH_LIST = 31

_ON_LINK = 0x80
_AUTONOMOUS = 0x40
_UNIT = 8


def source_link_layer_addresses(message: bytes, start: int) -> list[bytes]:
    """Those in the options of *message* from *start* on. Raises Malformed when the options are not whole ones."""
    found = []
    end = len(message)
    while start < end:
        size = _UNIT * message[start + 1] if end - start >= _UNIT else 0
        # One of length 0 would never end (RFC 4861, 4.6).
        if size == 0 or start + size > end:
            raise Malformed(Fault.BAD_OPTION)
        if message[start] == _SOURCE_LINK_LAYER_ADDRESS:
            found.append(message[start + 2 : start + size])
        start += size
    return found


def source_link_layer_address(mac: bytes) -> bytes:
    return bytes((_SOURCE_LINK_LAYER_ADDRESS, 1)) + mac


def target_link_layer_address(mac: bytes) -> bytes:
    return bytes((_TARGET_LINK_LAYER_ADDRESS, 1)) + mac


def prefix_information(prefix: IPv6Network, lifetimes: Lifetimes, *, autonomous: bool) -> bytes:
    """*prefix*, all of it on the link, and whether guests make addresses of it themselves."""
    flags = _ON_LINK | (_AUTONOMOUS if autonomous else 0)
    fixed = struct.pack(
        "!BBBBIIxxxx", _PREFIX_INFORMATION, 4, prefix.prefixlen, flags, lifetimes.valid, lifetimes.preferred
    )
    return fixed + prefix.network_address.packed


def mtu(size: int) -> bytes:
    return struct.pack("!BBxxI", _MTU, 1, size)


def recursive_dns_servers(servers: list[bytes], lifetime: int) -> bytes:
    """Nothing when there are none."""
    return _long(_RECURSIVE_DNS_SERVER, lifetime, b"".join(servers))


def dns_search_list(names: bytes, lifetime: int) -> bytes:
    """Nothing when there are none; zeros fill the last unit (RFC 8106, 5.2)."""
    return _long(_DNS_SEARCH_LIST, lifetime, names + bytes(-len(names) % _UNIT))


def _long(kind: int, lifetime: int, body: bytes) -> bytes:
    return struct.pack("!BBxxI", kind, 1 + len(body) // _UNIT, lifetime) + body if body else b""
