# SPDX-License-Identifier: BSD-2-Clause
"""Raw files with holes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from archipelago.catalogue import raw
from ganeti_cloud.errors import RequestError
from ganeti_cloud.imagefile.qemu_img import Source

PART = 1 << 20


def source(path: Path, *parts: bytes | None) -> Source:
    """A file at *path* of *parts*, where None is a hole."""
    with path.open("wb") as stream:
        for part in parts:
            if part is None:
                stream.seek(PART, os.SEEK_CUR)
            else:
                stream.write(part)
        stream.truncate(len(parts) * PART)
    return Source(path, "raw", len(parts) * PART, "disk")


def test_holes_are_seen_and_data_is_read(tmp_path: Path) -> None:
    a, b = os.urandom(PART), os.urandom(PART)
    with raw.opened(source(tmp_path / "x", a, None, b, None)) as reader:
        assert list(reader.extents()) == [(0, PART), (2 * PART, PART)]
        assert (reader.size, reader.read(0, PART), reader.read(PART, 2 * PART)) == (4 * PART, a, bytes(PART) + b)


def test_nothing_but_a_hole(tmp_path: Path) -> None:
    with raw.opened(source(tmp_path / "x", None)) as reader:
        assert list(reader.extents()) == []


def test_a_file_that_became_shorter(tmp_path: Path) -> None:
    made = source(tmp_path / "x", bytes(PART), bytes(PART))
    with raw.opened(made) as reader:
        os.truncate(made.path, PART)
        with pytest.raises(RequestError, match=r"^disk is not a readable raw image \(it ends at 1048576\)$"):
            reader.read(PART // 2, PART)
