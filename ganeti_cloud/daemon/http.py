# SPDX-License-Identifier: BSD-2-Clause
"""A few pages by HTTP for programs of this node: nothing here waits, and a page is made in pieces between packets."""

from __future__ import annotations

import os
import selectors
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from ganeti_cloud.errors import CloudError

_MOST_CLIENTS = 8
_MOST_REQUEST = 4096
# From the connection to the last byte.
_LIMIT_S = 5.0

Ready = Callable[[], None]


class Page(NamedTuple):
    """What a path leads to: *pieces* begins to make the page."""

    content_type: str
    pieces: Callable[[], Iterator[str]]


class Server:
    """Serves *pages* by path at *listen*: the path of a socket, 127.0.0.1:PORT or [::1]:PORT.

    What it waits for is registered with *selector*, with a function without arguments as data. Raises CloudError when
    it cannot listen there.
    """

    def __init__(self, listen: str, pages: Mapping[str, Page], selector: selectors.BaseSelector) -> None:
        self._pages, self._selector = pages, selector
        self._clients: set[_Client] = set()
        self._path = listen if listen.startswith("/") else None
        try:
            self._socket = _listening(listen)
        except OSError as err:
            raise CloudError(
                f"nobody can be listened to at {listen}: {err.strerror}", hint="set listen in section [service]"
            ) from err
        selector.register(self._socket, selectors.EVENT_READ, self._accept)

    def tick(self, now: float) -> None:
        """Drop the clients that have been there for too long; *now* is of the monotonic clock."""
        for client in [client for client in self._clients if client.until < now]:
            self._drop(client)

    def close(self) -> None:
        """Serve nobody any more."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.unregister(self._socket)
        self._socket.close()
        if self._path is not None:
            with suppress(OSError):
                os.unlink(self._path)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            return  # it has gone already
        connection.setblocking(False)
        if len(self._clients) >= _MOST_CLIENTS:
            connection.close()
            return
        client = _Client(connection, time.monotonic() + _LIMIT_S)
        self._clients.add(client)
        self._selector.register(connection, selectors.EVENT_READ, lambda: self._read(client))

    def _read(self, client: _Client) -> None:
        try:
            data = client.connection.recv(_MOST_REQUEST)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client.request += data
        if b"\r\n\r\n" in client.request:
            client.answer = answer(client.request, self._pages)
            self._selector.modify(client.connection, selectors.EVENT_WRITE, lambda: self._write(client))
        elif not data or len(client.request) > _MOST_REQUEST:
            self._drop(client)

    def _write(self, client: _Client) -> None:
        if not client.rest:
            piece = next(client.answer, None)
            if piece is None:
                self._drop(client)
                return
            client.rest = piece.encode()
        try:
            client.rest = client.rest[client.connection.send(client.rest) :]
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client)
        self._selector.unregister(client.connection)
        client.connection.close()


class _Client:
    """One connection, which is for one request."""

    __slots__ = ("answer", "connection", "request", "rest", "until")

    def __init__(self, connection: socket.socket, until: float) -> None:
        self.connection, self.until = connection, until
        self.request = self.rest = b""
        self.answer: Iterator[str] = iter(())


def answer(request: bytes, pages: Mapping[str, Page]) -> Iterator[str]:
    """What to send for *request*, in pieces; the end of the page is that of the connection (RFC 9112, 6.3)."""
    words = request.partition(b"\r\n")[0].decode("ascii", errors="replace").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        yield _head("400 Bad Request", "text/plain") + "this is no request of HTTP/1\n"
        return
    method, path = words[0], words[1].partition("?")[0]
    if method not in ("GET", "HEAD"):
        yield _head("405 Method Not Allowed", "text/plain", "Allow: GET, HEAD") + "there is only GET here\n"
        return
    page = pages.get(path)
    if page is None:
        yield _head("404 Not Found", "text/plain") + f"there are {', '.join(sorted(pages))}\n"
        return
    yield _head("200 OK", page.content_type)
    if method == "GET":
        yield from page.pieces()


def _head(status: str, content_type: str, *further: str) -> str:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}; charset=utf-8", "Connection: close", *further]
    return "".join(f"{line}\r\n" for line in lines) + "\r\n"


def _listening(listen: str) -> socket.socket:
    if listen.startswith("/"):
        return _listening_at(listen)
    host, _, port = listen.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host.strip("[]"), int(port)))
        listener.listen(_MOST_CLIENTS)
    except OSError:
        listener.close()
        raise
    return listener


def _listening_at(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # One that is left over from a daemon that was killed: whoever has the queues is the only one.
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(os.lstat(path).st_mode):
                os.unlink(path)
        listener.bind(path)
        # Addresses and MACs are for those who may see the files that they are from.
        os.chmod(path, 0o660)
        listener.listen(_MOST_CLIENTS)
    except OSError:
        listener.close()
        raise
    return listener
