# SPDX-License-Identifier: BSD-2-Clause
"""The SHA-256 of a content and of each of its blocks, in one pass that does not read what is known to be zeros."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from archipelago.contract.contents import Reader
from ganeti_cloud.image import BLOCK

DIGEST = hashlib.sha256().digest_size
ZEROS = bytes(BLOCK)
ZERO_HASH = hashlib.sha256(ZEROS).digest()

# Blocks between the one who reads and those who hash.
_AHEAD = 4
_PAUSE_S = 0.02


class Hashes(NamedTuple):
    """What a content of *size* bytes is known by. *blocks* has 32 bytes for each block."""

    sha256: str
    size: int
    blocks: bytes


def block_hash(data: bytes) -> bytes:
    """The entry of one block in a list of hashes."""
    return hashlib.sha256(data).digest()


def zero_hash(length: int) -> bytes:
    """The entry of a block of *length* zeros."""
    return ZERO_HASH if length == BLOCK else block_hash(ZEROS[:length])


def blocks_of(size: int) -> Iterator[tuple[int, int]]:
    """Offset and length of each block of a content of *size* bytes."""
    return ((offset, min(BLOCK, size - offset)) for offset in range(0, size, BLOCK))


def used_blocks(extents: Iterator[tuple[int, int]]) -> Iterator[int]:
    """The offsets of the blocks that *extents* touch, in order, each once."""
    last = -1
    for start, length in extents:
        for number in range(max(last + 1, start // BLOCK), -(-(start + length) // BLOCK)):
            yield number * BLOCK
            last = number


def walk(reader: Reader) -> Iterator[tuple[int, int, bytes | None]]:
    """Offset, length and data of each block of *reader*; None for one that is a hole, which is not read."""
    used = used_blocks(reader.extents())
    following = next(used, None)
    for offset, length in blocks_of(reader.size):
        if offset == following:
            yield offset, length, reader.read(offset, length)
            following = next(used, None)
        else:
            yield offset, length, None


def hashes(reader: Reader, on_percent: Callable[[float], None]) -> Hashes:
    """Read all of *reader* once. Reading, the whole hash and the blocks' hashes have a thread each.

    hashlib and libnbd let other threads run meanwhile.
    """
    whole = hashlib.sha256()
    blocks = bytearray()
    with ahead(walk(reader)) as read, ahead(_fed(whole, read)) as fed:
        for offset, length, data in fed:
            blocks += zero_hash(length) if data is None else block_hash(data)
            on_percent(100 * (offset + length) / reader.size)
    return Hashes(whole.hexdigest(), reader.size, bytes(blocks))


_Item = tuple[int, int, bytes | None]


def _fed(whole: hashlib._Hash, items: Iterator[_Item]) -> Iterator[_Item]:
    for offset, length, data in items:
        whole.update(ZEROS[:length] if data is None else data)
        yield offset, length, data


@contextmanager
def ahead(items: Iterator[_Item]) -> Iterator[Iterator[_Item]]:
    """*items*, made in a thread of their own a few ahead of who takes them. What it raises is raised there."""
    waiting: queue.Queue[_Item | BaseException | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def work() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    return
                waiting.put(item)
            waiting.put(None)
        except BaseException as err:  # noqa: BLE001 - it is raised again where the items are taken
            waiting.put(err)

    def taken() -> Iterator[_Item]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield taken()
    finally:
        stopped.set()
        while thread.is_alive():
            try:
                waiting.get(timeout=_PAUSE_S)  # it may wait for room
            except queue.Empty:
                continue
