# SPDX-License-Identifier: BSD-2-Clause
"""Hashes of contents with holes, and which blocks differ. The import as a whole is tested against a real cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from archipelago.catalogue.hashing import Hashes, ahead, hashes, used_blocks, walk, zero_hash
from archipelago.catalogue.importing import changed_blocks
from ganeti_cloud.image import BLOCK

A, B, Z = b"a" * BLOCK, b"b" * BLOCK, bytes(BLOCK)


class Sparse:
    """A content of which only *extents* may be read."""

    def __init__(self, content: bytes, extents: list[tuple[int, int]]) -> None:
        self.content, self.used, self.size = content, extents, len(content)
        self.reads: list[int] = []

    def extents(self) -> Iterator[tuple[int, int]]:
        return iter(self.used)

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append(offset // BLOCK)
        return self.content[offset : offset + length]


def of(content: bytes) -> Hashes:
    """The hashes of *content*, the plain way."""
    blocks = [content[at : at + BLOCK] for at in range(0, len(content), BLOCK)]
    return Hashes(
        hashlib.sha256(content).hexdigest(),
        len(content),
        b"".join(hashlib.sha256(block).digest() for block in blocks),
    )


@pytest.mark.parametrize(
    ("content", "extents", "reads"),
    [
        pytest.param(Z + Z + b"\0" * 512, [], [], id="nothing but a hole"),
        pytest.param(b"a" * 512, [(0, 512)], [0], id="less than a block"),
        pytest.param(Z + A + Z + b"b" * 512, [(BLOCK, BLOCK), (3 * BLOCK, 512)], [1, 3], id="between holes"),
        pytest.param(A + B + Z, [(512, 512), (2048, BLOCK)], [0, 1], id="extents within blocks"),
        pytest.param(A + Z, [(0, BLOCK), (BLOCK, BLOCK)], [0, 1], id="zeros that were written"),
    ],
)
def test_holes_are_hashed_without_being_read(content: bytes, extents: list[tuple[int, int]], reads: list[int]) -> None:
    reader = Sparse(content, extents)
    shown: list[float] = []
    assert hashes(reader, shown.append) == of(content)
    assert reader.reads == reads
    assert (shown[-1], shown) == (100, sorted(shown))


def test_blocks_are_used_once() -> None:
    assert list(used_blocks(iter([(0, 1), (5, BLOCK), (2 * BLOCK, 1)]))) == [0, BLOCK, 2 * BLOCK]


def test_what_the_reader_raises_is_raised_where_it_is_hashed() -> None:
    class Broken(Sparse):
        def read(self, offset: int, length: int) -> bytes:
            raise OSError("bad sector")

    with pytest.raises(OSError, match="bad sector"):
        hashes(Broken(A + B, [(0, 2 * BLOCK)]), lambda _: None)


def test_who_takes_may_stop_early() -> None:
    reader = Sparse(A * 16, [(0, 16 * BLOCK)])
    with ahead(walk(reader)) as blocks:
        assert next(blocks)[0] == 0
    assert len(reader.reads) < 16


@pytest.mark.parametrize(
    ("new", "old", "changed"),
    [
        pytest.param(A + B, A + B, [], id="the same"),
        pytest.param(A + B, A + A, [1], id="one block"),
        pytest.param(A + Z, b"", [0], id="blank before"),
        pytest.param(Z + Z + b"\0" * 512, b"", [], id="nothing but zeros"),
        pytest.param(A + Z, A + B, [1], id="zeros now"),
        pytest.param(A + B + Z, A + B, [], id="longer by zeros"),
        pytest.param(A + B, A + b"b" * 512, [1], id="longer by a part of a block"),
        pytest.param(A + b"b" * 512, A + B, [1], id="shorter"),
        pytest.param(A, A + B, [], id="shorter by a block"),
    ],
)
def test_which_blocks_differ(new: bytes, old: bytes, changed: list[int]) -> None:
    found = list(changed_blocks(of(new), of(old).blocks))
    assert [offset // BLOCK for offset, _, _ in found] == changed
    for offset, length, wanted in found:
        assert wanted == hashlib.sha256(new[offset : offset + length]).digest()


@pytest.mark.parametrize("length", [BLOCK, 512])
def test_the_hash_of_zeros(length: int) -> None:
    assert zero_hash(length) == hashlib.sha256(bytes(length)).digest()
