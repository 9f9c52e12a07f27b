# SPDX-License-Identifier: BSD-2-Clause
"""The network interfaces of this node, as they are now."""

from __future__ import annotations

import errno
import socket

from ganeti_cloud.errors import CloudError
from ganeti_cloud.netlink import DATAGRAM
from nfdhcpd.guests.rtnetlink import RTMGRP_LINK, Link, Message, dump, messages

# A tap that comes up makes some six messages of 1 to 2 KiB, and a node may start hundreds at once.
_BUFFER = 8 << 20
# Datagrams that are read before packets have their turn again.
_AT_ONCE = 64
_MOST_QUEUED = 1 << 17
_ANSWER_S = 5.0
_TRIES = 5

_SO_RCVBUFFORCE = 33  # asm-generic/socket.h


class LinksError(CloudError):
    """The kernel did not tell which interfaces there are."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="the daemon needs sockets of AF_NETLINK: see what its unit allows it")


class Links:
    """The interfaces of the network namespace that this was made in. Raises LinksError.

    ``links`` has them by name, always in the same dictionary, as of the last :meth:`changes`.
    """

    def __init__(self) -> None:
        self.links: dict[str, Link] = {}
        self._names: dict[int, str] = {}
        self._changed: set[str] = set()
        self._has_lost = False
        # Before the question, so that what happens while it is answered is told as well.
        self._socket = _opened(RTMGRP_LINK)
        _widen(self._socket)
        self._socket.setblocking(False)
        try:
            self._compare()
        except LinksError:
            self.close()
            raise
        self._changed.clear()

    def fileno(self) -> int:
        """For a selector: readable when an interface may have changed."""
        return self._socket.fileno()

    def changes(self) -> set[str]:
        """The names of interfaces that came, went, or have another number or MAC now. Never waits for one.

        Some, when there are many, and then the file descriptor stays readable. Raises LinksError when the kernel has
        lost messages and does not tell how things are either; the next call asks again.
        """
        for _ in range(_AT_ONCE):
            try:
                data, (port, _groups) = self._socket.recvfrom(DATAGRAM)
            except BlockingIOError:
                break
            except OSError as err:
                if err.errno != errno.ENOBUFS:
                    raise LinksError(f"rtnetlink: {err.strerror}") from err
                self._has_lost = True
                break
            # Only the kernel has port 0.
            if port == 0:
                for message in messages(data):
                    self._take(message)
        if self._has_lost:
            # What is still queued is older than what has been lost, and than the answer to the question.
            self._drain()
            self._compare()
            self._has_lost = False
        changed, self._changed = self._changed, set()
        return changed

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()

    def _take(self, message: Message) -> None:
        """Note what *message* says."""
        name = self._names.pop(message.number, message.name)
        known = self.links.get(name)
        # Gone, or renamed; another may have the name already.
        if (message.link is None or name != message.name) and known is not None and known.number == message.number:
            del self.links[name]
            self._changed.add(name)
        if message.link is not None:
            self._names[message.number] = message.name
            if self.links.get(message.name) != message.link:
                self.links[message.name] = message.link
                self._changed.add(message.name)

    def _drain(self) -> None:
        for _ in range(_MOST_QUEUED):
            try:
                self._socket.recv(1)
            except BlockingIOError:
                return
            except OSError:
                pass  # lost again, while this was going on

    def _compare(self) -> None:
        """Ask for all interfaces, and note those that are not as they were. Raises LinksError."""
        now = _asked()
        self._changed |= {name for name in self.links.keys() | now.keys() if self.links.get(name) != now.get(name)}
        self.links.clear()
        self.links.update(now)
        self._names = {link.number: name for name, link in now.items()}


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
                links, is_whole = dump(connection)
                if is_whole:
                    break
        except OSError as err:
            raise LinksError(f"rtnetlink: {err.strerror or err}") from err
    # One that was disturbed each time is right but for what the next messages say.
    return links
