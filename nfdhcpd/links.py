# SPDX-License-Identifier: BSD-2-Clause
"""The network interfaces of this node, as the kernel tells of them (rtnetlink(7))."""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from ganeti_cloud.errors import CloudError

# linux/netlink.h and linux/rtnetlink.h
_RTMGRP_LINK = 1
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

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_IFINFO = struct.Struct("=BxHiII")  # family, hardware, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_REQUEST = struct.pack(
    "=IHHII BxHiII HHI",
    *(40, _RTM_GETLINK, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0),
    *(socket.AF_UNSPEC, 0, 0, 0, 0),
    *(8, _IFLA_EXT_MASK, _RTEXT_FILTER_SKIP_STATS),
)

# The kernel puts at most 32 KiB of a dump into one datagram (netlink_dump()).
_DATAGRAM = 1 << 16
# A tap that comes up makes some six messages of 1 to 2 KiB, and a node may start hundreds at once.
_BUFFER = 8 << 20
# Datagrams that are read before packets have their turn again.
_AT_ONCE = 64
_MOST_QUEUED = 1 << 17
_ANSWER_S = 5.0
_TRIES = 5

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h


class Link(NamedTuple):
    """One interface."""

    number: int
    """Of the kernel: ifindex."""
    mac: bytes
    """Six bytes; empty for an interface that has no Ethernet address."""


class LinksError(CloudError):
    """The kernel did not tell which interfaces there are."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="the daemon needs sockets of AF_NETLINK: see what its unit allows it")


class Links:
    """The interfaces of the network namespace that this was made in. Raises LinksError.

    ``links`` has them by name, as of the last :meth:`changes`.
    """

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self._names: dict[int, str] = {}
        self._has_lost = False
        # Before the question, so that what happens while it is answered is told as well.
        self._socket = _opened(_RTMGRP_LINK)
        _widen(self._socket)
        self._socket.setblocking(False)
        try:
            self._compare()
        except LinksError:
            self.close()
            raise

    def fileno(self) -> int:
        """For a selector: readable when an interface may have changed."""
        return self._socket.fileno()

    def changes(self) -> set[str]:
        """The names of interfaces that came, went, or have another number or MAC now. Never waits for one.

        Some, when there are many, and then the file descriptor stays readable. Raises LinksError when the kernel has
        lost messages and does not tell how things are either; the next call asks again.
        """
        changed: set[str] = set()
        for _ in range(_AT_ONCE):
            try:
                data, (port, _groups) = self._socket.recvfrom(_DATAGRAM)
            except BlockingIOError:
                break
            except OSError as err:
                if err.errno != errno.ENOBUFS:
                    raise LinksError(f"rtnetlink: {err.strerror}") from err
                self._has_lost = True
                break
            # Only the kernel has port 0.
            if port == 0:
                for message in _messages(data):
                    self._take(message, changed)
        if self._has_lost:
            # What is still queued is older than what has been lost, and than the answer to the question.
            self._drain()
            changed |= self._compare()
            self._has_lost = False
        return changed

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _take(self, message: _Message, changed: set[str]) -> None:
        """Note what *message* says, and in *changed* the names that it is about."""
        name = self._names.pop(message.number, message.name)
        known = self.links.get(name)
        # Gone, or renamed; another may have the name already.
        if (message.link is None or name != message.name) and known is not None and known.number == message.number:
            del self.links[name]
            changed.add(name)
        if message.link is not None:
            self._names[message.number] = message.name
            if self.links.get(message.name) != message.link:
                self.links[message.name] = message.link
                changed.add(message.name)

    def _drain(self) -> None:
        for _ in range(_MOST_QUEUED):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError:
                pass  # lost again, while this was going on

    def _compare(self) -> set[str]:
        """Ask for all interfaces, and return the names of those that are not as they were. Raises LinksError."""
        before = self.links
        self.links = _asked()
        self._names = {link.number: name for name, link in self.links.items()}
        return {name for name in before.keys() | self.links.keys() if before.get(name) != self.links.get(name)}


class _Message(NamedTuple):
    """One interface came, changed or (without *link*) went."""

    number: int
    name: str
    link: Link | None


def _opened(groups: int) -> socket.socket:
    try:
        connection = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        try:
            connection.bind((0, groups))
        except OSError:
            connection.close()
            raise
    except OSError as err:
        raise LinksError(f"rtnetlink: {err.strerror}") from err
    return connection


def _widen(connection: socket.socket) -> None:
    """Have room for a burst of messages."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        # Without CAP_NET_ADMIN net.core.rmem_max is the limit; what does not fit is asked for.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def _asked() -> dict[str, Link]:
    """All interfaces by name. Raises LinksError."""
    with _opened(0) as connection:
        connection.settimeout(_ANSWER_S)
        try:
            for _ in range(_TRIES):
                links, is_whole = _dump(connection)
                if is_whole:
                    break
        except OSError as err:
            raise LinksError(f"rtnetlink: {err.strerror or err}") from err
    # One that was disturbed each time is right but for what the next messages say.
    return links


def _dump(connection: socket.socket) -> tuple[dict[str, Link], bool]:
    """All interfaces, and whether none came or went meanwhile."""
    connection.send(_REQUEST)
    links: dict[str, Link] = {}
    is_whole = True
    while True:
        data = connection.recv(_DATAGRAM)
        for kind, flags, body in _parts(data):
            is_whole = is_whole and not flags & _NLM_F_DUMP_INTR
            if kind == _NLMSG_DONE:
                return links, is_whole
            if kind == _NLMSG_ERROR:
                number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                raise OSError(number, os.strerror(number))
            message = _decoded(kind, body)
            if message is not None and message.link is not None:
                links[message.name] = message.link


def _messages(data: bytes) -> Iterator[_Message]:
    """What one datagram says of interfaces."""
    for kind, _, body in _parts(data):
        message = _decoded(kind, body)
        if message is not None:
            yield message


def _parts(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, flags and body of each message of netlink in *data*."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += _aligned(length)


def _decoded(kind: int, body: bytes) -> _Message | None:
    """What one message says of an interface, if anything."""
    if kind not in (_RTM_NEWLINK, _RTM_DELLINK) or len(body) < _IFINFO.size:
        return None
    family, hardware, index, _, _ = _IFINFO.unpack_from(body)
    # A bridge tells in messages of its own family that it has lost a port: the interface itself is still there.
    if family != socket.AF_UNSPEC:
        return None
    if kind == _RTM_DELLINK:
        return _Message(index, "", None)
    found: dict[int, bytes] = {}
    for attribute, value in _attributes(body, _IFINFO.size):
        found.setdefault(attribute, value)
        if _IFLA_IFNAME in found and _IFLA_ADDRESS in found:
            break  # much more follows
    name, mac = os.fsdecode(found.get(_IFLA_IFNAME, b"").rstrip(b"\0")), found.get(_IFLA_ADDRESS, b"")
    is_ethernet = hardware == _ARPHRD_ETHER and len(mac) == 6
    return _Message(index, name, Link(index, mac if is_ethernet else b"")) if name else None


def _attributes(body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind, body[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
