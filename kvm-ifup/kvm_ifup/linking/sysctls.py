# SPDX-License-Identifier: BSD-2-Clause
"""Settings of one interface below /proc/sys/net."""

from __future__ import annotations

from collections.abc import Iterable

FOLDER = "/proc/sys/net"

# Each name with {} in the place of the interface, and its value.
CLOSED4 = (("ipv4/conf/{}/forwarding", "0"), ("ipv4/conf/{}/proxy_arp", "0"))
CLOSED6 = (("ipv6/conf/{}/disable_ipv6", "1"),)
CLOSED = CLOSED4 + CLOSED6
"""The node's own IP has nothing to do with the interface."""

ROUTED4 = (
    ("ipv4/conf/{}/forwarding", "1"),
    # The guest takes its whole network for its neighbours.
    ("ipv4/conf/{}/proxy_arp", "1"),
    # 0 answers at once. Else the answer waits up to 0.8 s, for the machine itself to be first (RFC 1027).
    ("ipv4/neigh/{}/proxy_delay", "0"),
    ("ipv4/conf/{}/accept_redirects", "0"),
    ("ipv4/conf/{}/send_redirects", "0"),
)

ROUTED6 = (
    ("ipv6/conf/{}/disable_ipv6", "0"),
    ("ipv6/conf/{}/accept_ra", "0"),
    ("ipv6/conf/{}/autoconf", "0"),
    ("ipv6/conf/{}/accept_redirects", "0"),
    # A router speaks to its neighbours from a link-local address: made of the MAC, it is the same on all nodes. There
    # is nobody besides the guest, who must not keep the node from having it by saying that it is taken.
    ("ipv6/conf/{}/addr_gen_mode", "0"),
    ("ipv6/conf/{}/accept_dad", "0"),
    ("ipv6/conf/{}/forwarding", "1"),
    ("ipv6/conf/{}/proxy_ndp", "1"),
    ("ipv6/neigh/{}/proxy_delay", "0"),
)

UPLINK4 = (("ipv4/conf/{}/forwarding", "1"), ("ipv4/neigh/{}/proxy_delay", "0"))
"""Stays when a tap goes: others may need it. The node only answers for addresses that it was told of one by one."""

UPLINK6 = (("ipv6/conf/{}/proxy_ndp", "1"), ("ipv6/neigh/{}/proxy_delay", "0"))

Settings = Iterable[tuple[str, str]]


def apply(interface: str, settings: Settings, *, may_be_absent: bool = False) -> None:
    """Write *settings* of *interface*. Raises OSError, unless what is missing *may_be_absent*."""
    for name, value in settings:
        if read(name, interface) == value:
            continue
        try:
            with open(_path(name, interface), "w", encoding="ascii") as stream:
                stream.write(value)
        except FileNotFoundError:
            if not may_be_absent:
                raise


def differing(interface: str, settings: Settings) -> str:
    """The first of *settings* that is not so, as sysctl(8) would name it; empty when all are."""
    for name, value in settings:
        if (found := read(name, interface)) is not None and found != value:
            return f"{name.format(interface).replace('/', '.')} is {found} and not {value}"
    return ""


def read(name: str, interface: str) -> str | None:
    """The value of a setting; None when there is no such."""
    try:
        with open(_path(name, interface), encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return None


def _path(name: str, interface: str) -> str:
    return f"{FOLDER}/{name.format(interface)}"
