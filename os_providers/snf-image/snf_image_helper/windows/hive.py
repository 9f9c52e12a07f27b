# SPDX-License-Identifier: BSD-2-Clause
"""A registry hive, read in place: a few pages of a file that may have a hundred megabytes.

The format is undocumented by its maker; the one described at github.com/msuhanov/regf is what all versions since
Windows 2000 write. Every number in it is taken for hostile: whatever is read has a limit, and no walk is longer than
the path that was asked for.
"""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from snf_image_helper.task import TaskError

TEXT_TYPES = (1, 2)  # REG_SZ, REG_EXPAND_SZ
NUMBER_TYPE = 4  # REG_DWORD

_BINS = 4096  # where the cells begin, behind the header
_NOWHERE = 0xFFFFFFFF
_INLINE = 0x80000000  # the data stands where its place would
_LATIN_KEY = 0x20
_LATIN_VALUE = 0x1
_CELL = 1 << 20
_DATA = 4096
_KEYS = 20_000
_VALUES = 10_000


class Key(NamedTuple):
    """A key: its name, and where its subkeys and values are listed."""

    name: str
    subkeys: int
    values: int
    value_count: int


class Value(NamedTuple):
    """A value: its type, its data, and where in the file these are."""

    kind: int
    data: bytes
    place: int

    @property
    def text(self) -> str:
        """What it says, when it is a text."""
        return self.data.decode("utf-16-le", "replace").partition("\0")[0]

    @property
    def number(self) -> int:
        """A number of 32 bits; also the unnamed values of the accounts database, whose type is the number."""
        return int.from_bytes(self.data[:4], "little")


class Hive:
    """The hive in the open file *descriptor*; *name* is for errors. Raises TaskError wherever it is damaged."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor, self._name = descriptor, name
        header = self._read(0, 48)
        if header[:4] != b"regf":
            raise self._damaged("it does not begin as a hive does")
        written, complete = struct.unpack_from("<II", header, 4)
        self.clean = written == complete
        self._root = struct.unpack_from("<I", header, 36)[0]

    def key(self, path: str) -> Key | None:
        """The key at *path*, with backslashes; the topmost when it is empty. None when there is none."""
        key: Key | None = self._key(self._root)
        for name in path.split("\\") if path else ():
            key = self._child(key, name) if key else None
        return key

    def names(self, key: Key) -> list[str]:
        """The names of the subkeys of *key*."""
        return [self._key(place).name for place in self._subkeys(key.subkeys)]

    def value(self, key: Key | None, name: str) -> Value | None:
        """The value *name* of *key*; None when one of them is missing."""
        if key is None or key.values == _NOWHERE or not key.value_count:
            return None
        if key.value_count > _VALUES:
            raise self._damaged("a key has too many values")
        places = self._cell(key.values)
        if len(places) < 4 * key.value_count:
            raise self._damaged("a list of values is cut")
        for (place,) in struct.iter_unpack("<I", places[: 4 * key.value_count]):
            cell = self._cell(place, b"vk", 20)
            length, flags = struct.unpack_from("<H12xH", cell, 2)
            if _text(cell[20 : 20 + length], latin=flags & _LATIN_VALUE).lower() == name.lower():
                return self._value(place, cell)
        return None

    def set_number(self, value: Value, number: int) -> None:
        """Make *value*, which is a number, another number. Raises TaskError when Windows would undo that."""
        if not self.clean:
            raise TaskError(
                f"the registry hive {self._name} was not written to its end: start the image once more, "
                "and shut Windows down"
            )
        if value.kind != NUMBER_TYPE or len(value.data) != 4:
            raise self._damaged("what should be a number is none")
        os.pwrite(self._descriptor, number.to_bytes(4, "little"), value.place)

    def _value(self, place: int, cell: bytes) -> Value:
        size, data, kind = struct.unpack_from("<III", cell, 4)
        if size & _INLINE:
            size &= ~_INLINE
            if size > 4:
                raise self._damaged("a value is longer than its place")
            return Value(kind, cell[8 : 8 + size], _BINS + place + 4 + 8)
        if size > _DATA:
            raise self._damaged("a value is too long")
        content = self._cell(data) if size else b""
        if len(content) < size:
            raise self._damaged("a value is cut")
        return Value(kind, content[:size], _BINS + data + 4)

    def _child(self, key: Key, name: str) -> Key | None:
        for place in self._subkeys(key.subkeys):
            child = self._key(place)
            if child.name.lower() == name.lower():
                return child
        return None

    def _key(self, place: int) -> Key:
        cell = self._cell(place, b"nk", 76)
        flags = struct.unpack_from("<H", cell, 2)[0]
        subkeys = struct.unpack_from("<I", cell, 28)[0]
        value_count, values = struct.unpack_from("<II", cell, 36)
        length = struct.unpack_from("<H", cell, 72)[0]
        return Key(_text(cell[76 : 76 + length], latin=flags & _LATIN_KEY), subkeys, values, value_count)

    def _subkeys(self, place: int) -> list[int]:
        """Where the subkeys are that the list at *place* names. A long list is a list of lists, and no deeper."""
        if place == _NOWHERE:
            return []
        kind, found = self._list(place)
        if kind == b"ri":
            lists, found = found, []
            for each in lists:
                kind, more = self._list(each)
                if kind == b"ri" or len(found) + len(more) > _KEYS:
                    raise self._damaged("a key has too many subkeys")
                found += more
        return found

    def _list(self, place: int) -> tuple[bytes, list[int]]:
        cell = self._cell(place)
        kind, count = cell[:2], int.from_bytes(cell[2:4], "little")
        # lf and lh have a hash behind each place.
        step = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}.get(kind, 0)
        if not step or len(cell) < 4 + count * step:
            raise self._damaged("a list of subkeys is cut")
        return kind, [struct.unpack_from("<I", cell, 4 + number * step)[0] for number in range(count)]

    def _cell(self, place: int, kind: bytes = b"", least: int = 0) -> bytes:
        """What is in the cell at *place*: a *kind* of record, at least so long."""
        size = -struct.unpack("<i", self._read(_BINS + place, 4))[0]
        if not 4 <= size <= _CELL:
            raise self._damaged("it points to what is no record")
        cell = self._read(_BINS + place + 4, size - 4)
        if cell[: len(kind)] != kind or len(cell) < least:
            raise self._damaged("it points to another record than it should")
        return cell

    def _read(self, place: int, size: int) -> bytes:
        found = os.pread(self._descriptor, size, place)
        if len(found) < size:
            raise self._damaged("it is shorter than it says")
        return found

    def _damaged(self, why: str) -> TaskError:
        return TaskError(f"the registry hive {self._name} is damaged: {why}")


def _text(raw: bytes, *, latin: int) -> str:
    return raw.decode("latin-1" if latin else "utf-16-le", "replace")
