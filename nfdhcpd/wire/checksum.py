# SPDX-License-Identifier: BSD-2-Clause
"""The Internet checksum (RFC 1071)."""

from __future__ import annotations


def total(data: bytes) -> int:
    """The sum of the 16-bit words of *data* in ones' complement, as a remainder of 65535; an odd byte ends with 0.

    Data with a right checksum in it gives 0. Dividing one long number is ten times as fast as adding up words.
    """
    number = int.from_bytes(data, "big")
    return (number << 8 if len(data) & 1 else number) % 0xFFFF


def checksum(remainder: int) -> int:
    """What makes a sum of *remainder* (of any size) right. Never 0: in UDP 0 says that there is none (RFC 768)."""
    return 0xFFFF - remainder % 0xFFFF
