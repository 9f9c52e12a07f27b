# SPDX-License-Identifier: BSD-2-Clause
"""The cells that a registry hive is made of: they are read, written in place, and found room for.

A hive is a header and then bins, which are cells without gaps; a cell's size is negative when it is in use. Every
number is taken for hostile: whatever is read has a limit.
"""

from __future__ import annotations

import os
import struct

from snf_image_helper.task import TaskError

BINS = 4096  # where the bins begin, behind the header
_HEADER = 512
_CHECKSUM = 508
_SIZE = 40  # where the header says how long all bins are
_BIN_HEADER = 32
_CELL = 1 << 20
# Room is found in no larger hive: one of accounts has a kilobyte or two for each of them.
_LARGEST = 8 << 20


class Cells:
    """The cells of the hive in the open file *descriptor*; *name* is for errors. Raises TaskError for damage."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name
        header = self._read(0, 48)
        if header[:4] != b"regf":
            raise self.damaged("it does not begin as a hive does")
        written, complete = struct.unpack_from("<II", header, 4)
        self.clean = written == complete
        self.root: int = struct.unpack_from("<I", header, 36)[0]

    def read(self, place: int, kind: bytes = b"", least: int = 0) -> bytes:
        """What is in the cell at *place*: a *kind* of record, at least so long."""
        size = -struct.unpack("<i", self._read(BINS + place, 4))[0]
        if not 4 <= size <= _CELL:
            raise self.damaged("it points to what is no record")
        cell = self._read(BINS + place + 4, size - 4)
        if cell[: len(kind)] != kind or len(cell) < least:
            raise self.damaged("it points to another record than it should")
        return cell

    def write(self, place: int, at: int, data: bytes) -> None:
        """Put *data* into the cell at *place*, where there is that much room from *at* on.

        Raises TaskError when Windows would undo it.
        """
        if not self.clean:
            raise TaskError(
                f"the registry hive {self._name} was not written to its end: start the image once more, "
                "and shut Windows down"
            )
        os.pwrite(self._descriptor, data, BINS + place + 4 + at)

    def move(self, place: int, data: bytes) -> int:
        """Put *data* into a new cell, and give the one at *place* up. Returns where the new one is."""
        old = len(self.read(place))
        size = _rounded(len(data) + 4, 8)
        new, room = self._free(size) or self._new_bin(size)
        self.write(new, 0, data.ljust(size - 4, b"\0"))
        if room > size:
            self.write(new + size - 4, 0, struct.pack("<i", room - size))
        self.write(new - 4, 0, struct.pack("<i", -size))
        self.write(place, 0, bytes(old))
        self.write(place - 4, 0, struct.pack("<i", old + 4))
        return new

    def damaged(self, why: str) -> TaskError:
        """The error that tells so."""
        return TaskError(f"the registry hive {self._name} is damaged: {why}")

    def _free(self, size: int) -> tuple[int, int] | None:
        """A free cell with room for *size* bytes, and its size."""
        end = self._end()
        at = 0
        while at < end:
            kind, length = struct.unpack_from("<4s4xI", self._read(BINS + at, _BIN_HEADER))
            if kind != b"hbin" or length % BINS or not 0 < length <= end - at:
                raise self.damaged("one of its bins is none")
            content = self._read(BINS + at, length)
            inner = _BIN_HEADER
            while inner < length:
                room = struct.unpack_from("<i", content, inner)[0]
                if abs(room) % 8 or not 8 <= abs(room) <= length - inner:
                    raise self.damaged("a cell is longer than its bin")
                if room >= size:
                    return at + inner, room
                inner += abs(room)
            at += length
        return None

    def _new_bin(self, size: int) -> tuple[int, int]:
        """A bin at the end, whose only cell, with room for *size* bytes, is free: where that is, and its size."""
        end = self._end()
        length = _rounded(size + _BIN_HEADER, BINS)
        header = bytearray(self._read(0, _HEADER))
        struct.pack_into("<I", header, _SIZE, end + length)
        checksum = 0
        for (word,) in struct.iter_unpack("<I", header[:_CHECKSUM]):
            checksum ^= word
        # Neither of these two is ever a checksum.
        struct.pack_into("<I", header, _CHECKSUM, {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(checksum, checksum))
        content = struct.pack("<4sII20xi", b"hbin", end, length, length - _BIN_HEADER)
        self.write(end - 4, 0, content.ljust(length, b"\0"))
        self.write(-BINS - 4, 0, bytes(header))
        return end + _BIN_HEADER, length - _BIN_HEADER

    def _end(self) -> int:
        """How long all bins are."""
        end: int = struct.unpack("<I", self._read(_SIZE, 4))[0]
        if end % BINS or end > _LARGEST:
            raise self.damaged("its bins have a size that cannot be")
        return end

    def _read(self, place: int, size: int) -> bytes:
        found = os.pread(self._descriptor, size, place)
        if len(found) < size:
            raise self.damaged("it is shorter than it says")
        return found


def _rounded(number: int, step: int) -> int:
    return -(-number // step) * step
