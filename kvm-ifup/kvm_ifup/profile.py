# SPDX-License-Identifier: BSD-2-Clause
"""Firewall profiles: what may reach a guest that it did not ask for."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple


class Allowance(NamedTuple):
    """Packets that may begin something: all of a protocol, or those to some ports or from some networks."""

    protocol: str
    """``tcp``, ``udp``, ``icmp`` (both versions of it), or the number of another one."""
    ports: tuple[tuple[int, int], ...] = ()
    """Destination ports, first and last; empty: all."""
    sources: tuple[IPv4Network | IPv6Network, ...] = ()
    """Empty: everybody."""


class Profile(NamedTuple):
    """A named set of allowances. What belongs to something that the guest began is let through by every profile."""

    name: str
    is_open: bool
    """Everything may pass; then there are no allowances."""
    allowances: tuple[Allowance, ...] = ()


PROTECTED = Profile("protected", False, (Allowance("icmp"),))
LIMITED = Profile("limited", False, (Allowance("icmp"), Allowance("tcp", ((22, 22), (3389, 3389)))))
UNPROTECTED = Profile("unprotected", True)
BUILT_IN = (PROTECTED, LIMITED, UNPROTECTED)
