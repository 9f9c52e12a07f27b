# SPDX-License-Identifier: BSD-2-Clause
"""Reading what does not change any more: a content, or a snapshot.

See :class:`archipelago.contract.contents.Reader`.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import NamedTuple

from archipelago.contract.volumes import Parent
from archipelago.file.data import format_of
from archipelago.file.layout import Layout
from archipelago.file.locks import referring
from archipelago.file.records import Saved
from archipelago.file.volumes import parent_of
from archipelago.parameters import Settings
from ganeti_cloud.process import run

_MAP_S = 600.0


class Piece(NamedTuple):
    """*length* bytes of the disk at *start*, which are at *offset* of the open file *descriptor*."""

    start: int
    length: int
    descriptor: int
    offset: int


class FileReader:
    """See :class:`archipelago.contract.contents.Reader`.

    Every overlay was written by QEMU, uncompressed, so that each byte of the disk is a byte of some file of the chain;
    `qemu-img map` tells of which.
    """

    def __init__(self, size: int, pieces: list[Piece]) -> None:
        self.size = size
        self._pieces = pieces
        self._ends = [piece.start + piece.length for piece in pieces]

    def extents(self) -> Iterator[tuple[int, int]]:
        yield from ((piece.start, piece.length) for piece in self._pieces)

    def read(self, offset: int, length: int) -> bytes:
        found = bytearray(length)
        for piece in islice(self._pieces, bisect_right(self._ends, offset), None):
            if piece.start >= offset + length:
                break
            begin, end = max(offset, piece.start), min(offset + length, piece.start + piece.length)
            found[begin - offset : end - offset] = _read(piece, begin - piece.start, end - begin)
        return bytes(found)


def _read(piece: Piece, at: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = os.pread(piece.descriptor, length - len(data), piece.offset + at + len(data))
        if not more:
            return data.ljust(length, b"\0")  # the file ends within its last sector
        data += more
    return data


@contextmanager
def reading(settings: Settings, parent: Parent) -> Iterator[FileReader]:
    """See :meth:`archipelago.contract.contents.Contents.reading`."""
    layout, saved = parent_of(settings, parent)
    with ExitStack() as files:
        with referring(layout):  # what is open stays readable, whoever removes it
            layout, saved = parent_of(settings, parent)
            descriptors = [_opened(files, layout.data(file)) for file in saved.chain]
            pieces = list(_pieces(layout, saved, descriptors))
        yield FileReader(saved.size, pieces)


def _opened(files: ExitStack, path: str) -> int:
    descriptor = os.open(path, os.O_RDONLY)
    files.callback(os.close, descriptor)
    return descriptor


def _pieces(layout: Layout, saved: Saved, descriptors: list[int]) -> Iterator[Piece]:
    top = layout.data(saved.chain[0])
    argv = ["qemu-img", "map", "--force-share", "--output=json", "-f", format_of(top), top]
    for entry in json.loads(run(argv, timeout_s=_MAP_S)):
        if entry["data"] and not entry["zero"]:
            yield Piece(entry["start"], entry["length"], descriptors[entry["depth"]], entry["offset"])


@contextmanager
def shown(settings: Settings, parent: Parent) -> Iterator[list[str]]:
    """See :meth:`archipelago.contract.contents.Contents.shown`: what is open stays readable, whoever removes it."""
    layout, _ = parent_of(settings, parent)
    with referring(layout):
        layout, saved = parent_of(settings, parent)
        top = layout.data(saved.chain[0])
        path = top.replace(",", ",,")
        yield ["--image-opts", f"driver={format_of(top)},file.driver=file,file.filename={path}"]
