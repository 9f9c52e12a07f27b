# SPDX-License-Identifier: BSD-2-Clause
"""Options of DHCPv6 as this server sends them (RFC 8415, 21; RFC 3646; RFC 5908)."""

from __future__ import annotations

import struct

from nfdhcpd.dhcp6 import numbers

_NTP_SERVER_ADDRESS = 1


def option(code: int, body: bytes) -> bytes:
    return struct.pack("!HH", code, len(body)) + body


def optional(code: int, body: bytes) -> bytes:
    """Nothing when there is nothing to say."""
    return option(code, body) if body else b""


def status(code: int, text: str) -> bytes:
    return option(numbers.STATUS_CODE, code.to_bytes(2, "big") + text.encode("ascii"))


def time_servers(servers: list[bytes]) -> bytes:
    """One option a server, each with one suboption (RFC 5908, 4)."""
    return b"".join(option(numbers.NTP_SERVER, option(_NTP_SERVER_ADDRESS, server)) for server in servers)


def leased_address(address: bytes, preferred: int, valid: int) -> bytes:
    return option(numbers.IA_ADDRESS, address + struct.pack("!II", preferred, valid))


def withdrawn(kind: int, lease: bytes) -> bytes:
    """What is leased in an association of *kind*, with lifetimes of 0, so that the client stops using it at once."""
    if kind == numbers.IA_PD:
        return option(numbers.IA_PREFIX, bytes(8) + lease)
    return leased_address(lease, 0, 0)


def association(kind: int, identifier: bytes, times: bytes, inner: bytes) -> bytes:
    """*times* are T1 and T2, which temporary addresses do without."""
    return option(kind, identifier + (b"" if kind == numbers.IA_TA else times) + inner)
