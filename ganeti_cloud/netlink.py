# SPDX-License-Identifier: BSD-2-Clause
"""Messages to and from the kernel's tables of interfaces and routes (netlink(7), rtnetlink(7))."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

# linux/netlink.h
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLM_F_REQUEST = 0x1
_NLM_F_ACK = 0x4
_NLM_F_DUMP = 0x300
_NLM_F_DUMP_INTR = 0x10
_NLM_F_CAPPED = 0x100
_NLM_F_ACK_TLVS = 0x200
_SOL_NETLINK = 270
_NETLINK_EXT_ACK = 11
_NETLINK_GET_STRICT_CHK = 12
_NLMSGERR_ATTR_MSG = 1
_NLA_TYPE = 0x3FFF  # without the flags "nested" and "in network order"

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_NUMBER = struct.Struct("=I")
_ERROR = struct.Struct("=i")

DATAGRAM = 1 << 16
"""Bytes that hold any datagram of the kernel's: netlink_dump() puts at most 32 KiB into one."""

_ANSWER_S = 5.0
_TRIES = 5


class Message(NamedTuple):
    """One message of a datagram."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def messages(data: bytes) -> Iterator[Message]:
    """Each message in the datagram *data*."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        yield Message(kind, flags, sequence, data[offset + _HEADER.size : offset + length])
        offset += _aligned(length)


def each_attribute(body: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Type and value of the attributes of *body* from *offset* on."""
    while offset + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, offset)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _NLA_TYPE, body[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)


def attributes(body: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes of *body* from *offset* on, by their types."""
    return dict(each_attribute(body, offset))


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def number(kind: int, value: int) -> bytes:
    """One attribute that is a number of 32 bits."""
    return attribute(kind, _NUMBER.pack(value))


def text(kind: int, value: str) -> bytes:
    """One attribute that is a text, which ends with a NUL."""
    return attribute(kind, os.fsencode(value) + b"\0")


def as_number(value: bytes | None) -> int:
    """What :func:`number` has encoded; 0 for an attribute that is not there."""
    found: int = _NUMBER.unpack_from(value)[0] if value is not None and len(value) >= _NUMBER.size else 0
    return found


def as_text(value: bytes | None) -> str:
    """What :func:`text` has encoded; empty for an attribute that is not there."""
    return os.fsdecode((value or b"").rstrip(b"\0"))


class Connection:
    """Questions and orders to the network namespace that this was made in, one at a time.

    All raise OSError: with the kernel's own reason where it gives one, TimeoutError when it does not answer.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.settimeout(_ANSWER_S)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        # The kernel then refuses what it does not know in a question, and dumps what was asked for only.
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_GET_STRICT_CHK, 1)
        self._sequence = 0

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def change(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Have the order *kind* carried out."""
        self._send(kind, body, _NLM_F_ACK | flags)
        for message in self._received():
            if message.kind == _NLMSG_ERROR:
                _check(message)
                return

    def ask(self, kind: int, body: bytes) -> bytes:
        """The one answer to the question *kind*."""
        self._send(kind, body, 0)
        for message in self._received():
            if message.kind == _NLMSG_ERROR:
                _check(message)
            else:
                return message.body
        raise AssertionError("unreachable")

    def dump(self, kind: int, body: bytes, *, containing: bytes = b"") -> list[bytes]:
        """All answers to the question *kind*, as they are at one moment; only those with some bytes in them.

        That is a first sieve for tables of which little is wanted: to decode what is not costs ten times as much.
        """
        for _ in range(_TRIES):
            self._send(kind, body, _NLM_F_DUMP)
            found, is_whole = self._dumped(containing)
            if is_whole:
                return found
        raise OSError(errno.EBUSY, "the table changes faster than it can be read")

    def _dumped(self, containing: bytes) -> tuple[list[bytes], bool]:
        """The answers, and whether nothing changed meanwhile."""
        found: list[bytes] = []
        is_whole = True
        while True:
            data, offset = self._socket.recv(DATAGRAM), 0
            # Not by messages(), which takes three times as long: there may be thousands.
            while offset + _HEADER.size <= len(data):
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
                start, end = offset + _HEADER.size, offset + length
                offset += _aligned(max(length, _HEADER.size))
                if sequence != self._sequence:
                    continue
                if flags & _NLM_F_DUMP_INTR:
                    is_whole = False
                if kind in (_NLMSG_ERROR, _NLMSG_DONE):
                    _check(Message(kind, flags, sequence, data[start:end]))
                    return found, is_whole
                if data.find(containing, start, end) >= 0:
                    found.append(data[start:end])

    def _send(self, kind: int, body: bytes, flags: int) -> None:
        self._sequence += 1
        length = _HEADER.size + len(body)
        self._socket.send(_HEADER.pack(length, kind, _NLM_F_REQUEST | flags, self._sequence, 0) + body)

    def _received(self) -> Iterator[Message]:
        """What is answered to the last message, without end: the reader knows when it has all."""
        while True:
            for message in messages(self._socket.recv(DATAGRAM)):
                if message.sequence == self._sequence:
                    yield message


def _check(message: Message) -> None:
    """Raise what *message* says went wrong, if anything."""
    (code,) = _ERROR.unpack_from(message.body)
    if code < 0:
        raise OSError(-code, _reason(message) or os.strerror(-code))


def _reason(message: Message) -> str:
    """The kernel's own words; empty when it has none."""
    if not message.flags & _NLM_F_ACK_TLVS:
        return ""
    offset = _ERROR.size
    if message.kind == _NLMSG_ERROR:
        # The message that failed comes before them: its header only, or all of it.
        (length,) = _NUMBER.unpack_from(message.body, offset)
        offset += _HEADER.size if message.flags & _NLM_F_CAPPED else _aligned(length)
    return as_text(attributes(message.body, offset).get(_NLMSGERR_ATTR_MSG))


def _aligned(length: int) -> int:
    return (length + 3) & ~3
