# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel says of network interfaces: messages of rtnetlink(7)."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ganeti_cloud import netlink

# linux/netlink.h and linux/rtnetlink.h
RTMGRP_LINK = 1
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_RTM_NEWLINK = 16
_RTM_DELLINK = 17
_RTM_GETLINK = 18
_NLM_F_REQUEST = 1
_NLM_F_DUMP_INTR = 0x10
_NLM_F_DUMP = 0x300
_IFLA_ADDRESS = 1
_IFLA_IFNAME = 3
_IFLA_EXT_MASK = 29
_RTEXT_FILTER_SKIP_STATS = 8
_ARPHRD_ETHER = 1

_IFINFO = struct.Struct("=BxHiII")  # family, hardware, index, flags, change
_REQUEST = struct.pack(
    "=IHHII BxHiII HHI",
    *(40, _RTM_GETLINK, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0),
    *(socket.AF_UNSPEC, 0, 0, 0, 0),
    *(8, _IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
)


class Link(NamedTuple):
    """One interface."""

    number: int
    """Of the kernel: ifindex."""
    mac: bytes
    """Six bytes; empty for an interface that has no Ethernet address."""


class Message(NamedTuple):
    """One interface came, changed or (without *link*) went."""

    number: int
    name: str
    link: Link | None


def dump(connection: socket.socket) -> tuple[dict[str, Link], bool]:
    """All interfaces, asked for by *connection*, and whether none came or went meanwhile. Raises OSError."""
    connection.send(_REQUEST)
    links: dict[str, Link] = {}
    is_whole = True
    while True:
        data = connection.recv(netlink.DATAGRAM)
        for kind, flags, _, body in netlink.messages(data):
            is_whole = is_whole and not flags & _NLM_F_DUMP_INTR
            if kind == _NLMSG_DONE:
                return links, is_whole
            if kind == _NLMSG_ERROR:
                error = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                raise OSError(error, os.strerror(error))
            message = _decoded(kind, body)
            if message is not None and message.link is not None:
                links[message.name] = message.link


def messages(data: bytes) -> Iterator[Message]:
    """What one datagram says of interfaces."""
    for kind, _, _, body in netlink.messages(data):
        message = _decoded(kind, body)
        if message is not None:
            yield message


def _decoded(kind: int, body: bytes) -> Message | None:
    """What one message says of an interface, if anything."""
    if kind not in (_RTM_NEWLINK, _RTM_DELLINK) or len(body) < _IFINFO.size:
        return None
    family, hardware, number, _, _ = _IFINFO.unpack_from(body)
    # A bridge tells in messages of its own family that it has lost a port: the interface itself is still there.
    if family != socket.AF_UNSPEC:
        return None
    if kind == _RTM_DELLINK:
        return Message(number, "", None)
    found: dict[int, bytes] = {}
    for attribute, value in netlink.each_attribute(body, _IFINFO.size):
        found.setdefault(attribute, value)
        if _IFLA_IFNAME in found and _IFLA_ADDRESS in found:
            break  # much more follows
    name, mac = os.fsdecode(found.get(_IFLA_IFNAME, b"").rstrip(b"\0")), found.get(_IFLA_ADDRESS, b"")
    is_ethernet = hardware == _ARPHRD_ETHER and len(mac) == 6
    return Message(number, name, Link(number, mac if is_ethernet else b"")) if name else None
