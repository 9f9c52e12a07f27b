# SPDX-License-Identifier: BSD-2-Clause
"""The checksum of an image with holes. The import as a whole is tested against a real cluster."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Self

import pytest

from archipelago.catalogue import importing

MIB = 1 << 20


class SparseImage:
    """As much of rbd.Image as the checksum needs: *extents* that hold data (or zeros written), and holes."""

    def __init__(self, content: bytes, extents: list[tuple[int, int, bool]]) -> None:
        self.content, self.extents = content, extents
        self.reads: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def diff_iterate(self, offset: int, length: int, snapshot: None, tell: Callable[[int, int, bool], None]) -> None:
        assert (offset, length, snapshot) == (0, len(self.content), None)
        for extent in self.extents:
            tell(*extent)

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, length))
        return self.content[offset : offset + length]


class Cluster:
    image_pool = "images"


def blocks(*parts: tuple[bytes, int]) -> bytes:
    return b"".join(filling * size for filling, size in parts)


@pytest.mark.parametrize(
    ("content", "extents", "reads"),
    [
        pytest.param(blocks((b"\0", 9 * MIB + 512)), [], [], id="nothing but a hole"),
        pytest.param(blocks((b"a", 512)), [(0, 512, True)], [(0, 512)], id="no hole"),
        pytest.param(
            blocks((b"\0", 5 * MIB), (b"b", MIB), (b"\0", 5 * MIB)),
            [(5 * MIB, MIB, True)],
            [(5 * MIB, MIB)],
            id="between holes",
        ),
        pytest.param(
            blocks((b"a", 9 * MIB), (b"\0", 3 * MIB), (b"b", 512)),
            [(0, 4 * MIB, True), (4 * MIB, 5 * MIB, True), (12 * MIB, 512, True)],
            [(0, 4 * MIB), (4 * MIB, 4 * MIB), (8 * MIB, MIB), (12 * MIB, 512)],
            id="in pieces",
        ),
        pytest.param(
            blocks((b"a", MIB), (b"\0", MIB)), [(0, MIB, True), (MIB, MIB, False)], [(0, MIB)], id="zeros written"
        ),
    ],
)
def test_holes_are_hashed_without_being_read(
    monkeypatch: pytest.MonkeyPatch,
    content: bytes,
    extents: list[tuple[int, int, bool]],
    reads: list[tuple[int, int]],
) -> None:
    image = SparseImage(content, extents)
    opened: list[tuple[Any, ...]] = []

    def open_image(pool: object, name: str, *, read_only: bool) -> SparseImage:
        opened.append((pool, name, read_only))
        return image

    monkeypatch.setattr("rbd.Image", open_image)
    shown: list[float] = []
    cluster: Any = Cluster()
    assert importing._sha256(cluster, "draft", len(content), shown.append) == hashlib.sha256(content).hexdigest()
    assert (image.reads, opened) == (reads, [("images", "draft", True)])
    assert (shown[-1], shown) == (100, sorted(shown))
