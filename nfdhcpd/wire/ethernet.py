# SPDX-License-Identifier: BSD-2-Clause
"""The header of an Ethernet frame."""

from __future__ import annotations

BROADCAST = b"\xff" * 6

IPV4 = b"\x08\x00"
IPV6 = b"\x86\xdd"

HEADER = 14
"""Bytes."""


def frame(destination: bytes, source: bytes, ethertype: bytes, payload: bytes) -> bytes:
    """*payload* from the address *source* to *destination*, without the check sequence, which the device adds."""
    return destination + source + ethertype + payload
