# SPDX-License-Identifier: BSD-2-Clause
"""The network interfaces of this node, as the kernel tells of them (rtnetlink(7))."""

from __future__ import annotations

from typing import NamedTuple


class Link(NamedTuple):
    """One interface."""

    index: int
    mac: bytes
    """Six bytes; empty for an interface that has no Ethernet address."""
