# SPDX-License-Identifier: BSD-2-Clause
"""One NFQUEUE (libnetfilter_queue), read without waiting and a bounded number of packets at a time."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import cast

from netfilterqueue import NetfilterQueue, Packet

from ganeti_cloud.errors import CloudError

# Packets that wait for their verdict; what comes when there are as many passes, see _fail_open.
_MAX_LENGTH = 4096
_SOCKET_BUFFER = 16 << 20
# Packets from one look at the other queues, at files and signals to the next: about half a millisecond.
BATCH = 64

# linux/netfilter/nfnetlink.h, nfnetlink_queue.h and linux/netlink.h
_SUBSYSTEM_QUEUE = 3
_MESSAGE_CONFIG = 2
_MESSAGE_VERDICT_BATCH = 3
_ATTRIBUTE_VERDICT = 2
_ATTRIBUTE_MASK = 4
_ATTRIBUTE_FLAGS = 5
_FLAG_FAIL_OPEN = 1
_DROP = 0
_REQUEST = 1
_REQUEST_WITH_ACK = 5
_ERROR = 2
_SOL_NETLINK = 270
_NO_ENOBUFS = 5
_HEADER = struct.Struct("=IHHII")

_CONFIG_TIMEOUT_S = 5.0


class Queue:
    """The queue *number*: each packet of it is handed to *handle*, which says whether it may go on; others are dropped.

    Packets that find the queue full pass (fail-open): a daemon that hangs is in nobody's way. Raises CloudError when
    the queue is not to be had.
    """

    def __init__(self, number: int, handle: Callable[[Packet], bool]) -> None:
        self.number = number
        self._handle = handle
        self._left = 0
        self._dropped: int | None = None
        self._early = _Early()
        self._queue = _bound(number, self._count)
        # Of the same socket, for what NetfilterQueue has no call for.
        self._socket = socket.socket(fileno=os.dup(self._queue.get_fd()))
        try:
            # The kernel drops nothing in silence here: what does not fit into the buffer passes as well.
            self._socket.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
            self._fail_open()
        except OSError as err:
            self.close()
            raise CloudError(f"queue {number}: {err.strerror}", hint="does the kernel have nfnetlink_queue?") from err

    def fileno(self) -> int:
        """To be waited for."""
        return self._socket.fileno()

    def work(self) -> None:
        """Handle what has come, up to BATCH packets."""
        self._left = BATCH
        try:
            if self._early.messages:
                # All that it uses of a socket is recv().
                self._queue.run_socket(cast("socket.socket", self._early))
            self._queue.run(block=False)
        except _Enough:
            pass
        finally:
            if self._dropped is not None:
                self._drop(self._dropped)

    def close(self) -> None:
        """Give the queue up; what is in it gets the verdict of a queue without a reader."""
        self._queue.unbind()
        self._socket.close()

    def _count(self, packet: Packet) -> None:
        goes_on = False
        try:
            goes_on = self._handle(packet)
        finally:
            if goes_on:
                packet.accept()
            else:
                self._dropped = packet.id
        self._left -= 1
        if not self._left:
            # The only way out of run() while packets keep coming.
            raise _Enough

    def _drop(self, last: int) -> None:
        """Drop all packets up to that with the number *last*: one message for many costs less than each of them."""
        verdict = struct.pack("=HHII", 12, _ATTRIBUTE_VERDICT, _DROP, socket.htonl(last))
        try:
            self._send(_MESSAGE_VERDICT_BATCH, verdict, _REQUEST)
        except OSError:
            return  # the kernel has no memory for it: the next one is for these packets, too
        self._dropped = None

    def _send(self, kind: int, attributes: bytes, flags: int) -> None:
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, self.number) + attributes
        header = _HEADER.pack(_HEADER.size + len(body), _SUBSYSTEM_QUEUE << 8 | kind, flags, _SEQUENCE, 0)
        self._socket.send(header + body)

    def _fail_open(self) -> None:
        """Have the kernel let packets pass that the queue has no room for; NetfilterQueue has no call for that."""
        flag = struct.pack("!I", _FLAG_FAIL_OPEN)
        attributes = b"".join(
            struct.pack("=HH4s", 8, attribute, flag) for attribute in (_ATTRIBUTE_FLAGS, _ATTRIBUTE_MASK)
        )
        self._socket.settimeout(_CONFIG_TIMEOUT_S)
        self._send(_MESSAGE_CONFIG, attributes, _REQUEST_WITH_ACK)
        while True:
            message = self._socket.recv(8192)
            _, kind, _, sequence, _ = _HEADER.unpack_from(message)
            if kind == _ERROR and sequence == _SEQUENCE:
                break
            self._early.messages.append(message)
        [status] = struct.unpack_from("=i", message, _HEADER.size)
        if status:
            raise OSError(-status, os.strerror(-status))
        self._socket.setblocking(False)


# libnfnetlink counts from the time of day; its own messages all have been answered when ours is sent.
_SEQUENCE = 1


def _bound(number: int, handle: Callable[[Packet], None]) -> NetfilterQueue:
    try:
        queue = NetfilterQueue()
    except OSError as err:
        raise CloudError(f"queue {number}: {err}", hint="run as root, and see that nfnetlink_queue is loaded") from err
    try:
        queue.bind(number, handle, max_len=_MAX_LENGTH, sock_len=_SOCKET_BUFFER)
    except OSError as err:
        raise CloudError(
            f"queue {number} is another program's",
            hint="does another nfdhcpd run? /proc/net/netfilter/nfnetlink_queue has the process of each queue",
        ) from err
    return queue


class _Enough(Exception):
    """The packet was handled, and others have their turn now."""


class _Early:
    """Gives run_socket() the messages that came before their time."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def recv(self, size: int) -> bytes:
        """The next one. Raises BlockingIOError when there is none."""
        if not self.messages:
            raise BlockingIOError(errno.EAGAIN, "no more")
        return self.messages.pop(0)
