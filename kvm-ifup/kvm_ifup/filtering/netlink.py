# SPDX-License-Identifier: BSD-2-Clause
"""Transactions with nf_tables over netlink: linux/netfilter/nfnetlink.h and nf_tables.h.

nft(8) lists all chains of the node before it adds a rule (1.0.6: 5 ms of processor for 1,000 taps), and takes some
10 ms to start and end. These messages cost the same however many taps there are.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ganeti_cloud.errors import CloudError

NETDEV = 5  # NFPROTO_NETDEV

_NFNETLINK = 12  # NETLINK_NETFILTER
_BATCH_BEGIN, _BATCH_END = 16, 17
_SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES
NEWTABLE, NEWCHAIN, GETCHAIN, DELCHAIN, NEWRULE, GETRULE, DELRULE = 0, 3, 4, 5, 6, 7, 8
NEWSET, DELSET, NEWOBJ, GETOBJ, DELOBJ = 9, 11, 18, 19, 20

_REQUEST, _ACK, _CREATE, _APPEND, _DUMP = 0x1, 0x4, 0x400, 0x800, 0x300
_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR
_ERROR, _DONE = 2, 3  # NLMSG_
_NESTED = 0x8000

_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct(">BBH")
_ATTRIBUTE = struct.Struct("=HH")

_ANSWER = 1 << 16
_USUAL = 1 << 16
"""What fits into any buffer for sending."""
_SNDBUFFORCE = 32  # SO_SNDBUFFORCE, asm-generic/socket.h
_LIMIT_S = 10.0
_TRIES = 5


class Refused(Exception):
    """The kernel took nothing of a transaction."""

    def __init__(self, number: int, index: int | None) -> None:
        super().__init__(os.strerror(number))
        self.number = number
        """errno(3)."""
        self.index = index
        """Of the message that it is about; None: about the whole."""


class Message(NamedTuple):
    """One change."""

    kind: int
    body: bytes
    """Attributes."""
    rule_of: str = ""
    """The chain that gets a rule; empty for other changes."""
    comment: str = ""
    """Of a rule."""


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute with its header, padded."""
    return _ATTRIBUTE.pack(4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute of attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute that is a string."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits, signed when negative."""
    return attribute(kind, (value & 0xFFFFFFFF).to_bytes(4, "big"))


def told(data: bytes) -> str:
    """The string in an attribute."""
    return data.rstrip(b"\0").decode(errors="replace")


def commit(family: int, messages: Sequence[Message]) -> None:
    """Have the kernel carry out all of *messages*, or none. Raises Refused or CloudError."""
    packets = [_packet(_BATCH_BEGIN, _REQUEST, 0, 0, _SUBSYSTEM, b"")]
    for index, message in enumerate(messages, 1):
        flags = _REQUEST | (_CREATE | _APPEND if message.kind in (NEWTABLE, NEWCHAIN, NEWSET, NEWOBJ, NEWRULE) else 0)
        # The kernel acknowledges the last when it has gone through all; errors come in any case.
        flags |= _ACK if index == len(messages) else 0
        packets.append(_packet(_SUBSYSTEM << 8 | message.kind, flags, index, family, 0, message.body))
    packets.append(_packet(_BATCH_END, _REQUEST, len(messages) + 1, 0, _SUBSYSTEM, b""))
    refused: Refused | None = None
    data = b"".join(packets)
    with _socket() as netlink:
        if len(data) > _USUAL:
            netlink.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, 2 * len(data))
        _send(netlink, data)
        for kind, _flags, sequence, body in _answers(netlink):
            if kind != _ERROR:
                continue
            error = -struct.unpack_from("=i", body)[0]
            if error and refused is None:
                refused = Refused(error, sequence - 1 if 1 <= sequence <= len(messages) else None)
            if sequence == len(messages) or error and sequence in (0, len(messages) + 1):
                break
    if refused:
        raise refused


def ask(family: int, message: Message, *, dump: bool = False) -> list[bytes]:
    """The attributes of what the kernel answers; nothing when there is no such thing. Raises CloudError.

    On a node whose rules change all the time a listing may miss some: what is missed is made again, which does no harm.
    """
    for _ in range(_TRIES):
        found, is_whole = _asked(family, message, dump=dump)
        if is_whole:
            break
    return found


def _asked(family: int, message: Message, *, dump: bool) -> tuple[list[bytes], bool]:
    """What there is, and whether nobody has changed it meanwhile."""
    found, is_whole = [], True
    with _socket() as netlink:
        flags = _REQUEST | (_DUMP if dump else _ACK)
        _send(netlink, _packet(_SUBSYSTEM << 8 | message.kind, flags, 1, family, 0, message.body))
        for kind, told_flags, _sequence, body in _answers(netlink):
            is_whole = is_whole and not told_flags & _INTERRUPTED
            if kind in (_ERROR, _DONE):
                error = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
                if error > 0 and error not in (errno.ENOENT, errno.EINTR):
                    raise CloudError(f"nf_tables: {os.strerror(error)}", hint="run as root")
                is_whole = is_whole and error != errno.EINTR
                break
            found.append(body[_FAMILY.size :])
    return found, is_whole


def _socket() -> socket.socket:
    try:
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NFNETLINK)
    except OSError as err:
        raise CloudError(f"netlink: {err.strerror}", hint="this needs a kernel with nf_tables") from err
    netlink.settimeout(_LIMIT_S)
    netlink.bind((0, 0))
    return netlink


def _send(netlink: socket.socket, data: bytes) -> None:
    try:
        netlink.sendto(data, (0, 0))
    except OSError as err:
        raise CloudError(f"nf_tables: {err.strerror}", hint="run as root") from err


def _packet(kind: int, flags: int, sequence: int, family: int, resource: int, body: bytes) -> bytes:
    length = _HEADER.size + _FAMILY.size + len(body)
    return _HEADER.pack(length, kind, flags, sequence, 0) + _FAMILY.pack(family, 0, resource) + body


def _answers(netlink: socket.socket) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, number and content of each message that comes."""
    while True:
        try:
            data = netlink.recv(_ANSWER)
        except OSError as err:
            raise CloudError(f"nf_tables does not answer: {err}", hint="see the journal of the kernel") from err
        while len(data) >= _HEADER.size:
            length, kind, flags, sequence, _port = _HEADER.unpack_from(data)
            if length < _HEADER.size:
                break
            yield kind, flags, sequence, data[_HEADER.size : length]
            data = data[length + 3 & ~3 :]


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes that *data* consists of, by their kind."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            break
        found[kind & ~_NESTED] = data[_ATTRIBUTE.size : length]
        data = data[length + 3 & ~3 :]
    return found
