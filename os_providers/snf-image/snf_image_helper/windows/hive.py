# SPDX-License-Identifier: BSD-2-Clause
"""A registry hive, read and changed in place: a few pages of a file that may have a hundred megabytes.

The format is undocumented by its maker; the one described at github.com/msuhanov/regf is what all versions since
Windows 2000 write. Every number in it is taken for hostile: whatever is read has a limit, and no walk is longer than
the path that was asked for.
"""

from __future__ import annotations

import struct

from snf_image_helper.records import NamedTuple
from snf_image_helper.windows.cells import Cells

TEXT_TYPES = (1, 2)  # REG_SZ, REG_EXPAND_SZ
NUMBER_TYPE = 4  # REG_DWORD

_NOWHERE = 0xFFFFFFFF
_INLINE = 0x80000000  # the data stands where its place would
# Where a record of a value says how long its data are, and where; or has them itself.
_DATA_SIZE, _DATA_PLACE = 4, 8
_LATIN_KEY = 0x20
_LATIN_VALUE = 0x1
_DATA = 4096
_KEYS = 20_000
_VALUES = 10_000


class Key(NamedTuple):
    """A key: its name, where its subkeys and values are listed, and where and how long the name of its class is."""

    name: str
    subkeys: int
    values: int
    value_count: int
    class_place: int
    class_length: int


class Value(NamedTuple):
    """A value: its type, its data, and the cell in which it is recorded."""

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
        self._cells = Cells(descriptor, name)

    def key(self, path: str) -> Key | None:
        """The key at *path*, with backslashes; the topmost when it is empty. None when there is none."""
        key: Key | None = self._key(self._cells.root)
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
            raise self._cells.damaged("a key has too many values")
        places = self._cells.read(key.values)
        if len(places) < 4 * key.value_count:
            raise self._cells.damaged("a list of values is cut")
        for (place,) in struct.iter_unpack("<I", places[: 4 * key.value_count]):
            cell = self._cells.read(place, b"vk", 20)
            length, flags = struct.unpack_from("<H12xH", cell, 2)
            if _text(cell[20 : 20 + length], latin=flags & _LATIN_VALUE).lower() == name.lower():
                return self._value(place, cell)
        return None

    def class_name(self, key: Key) -> str:
        """The name of the class of *key*, a text that nothing but old programs sees; empty when it has none."""
        if key.class_place == _NOWHERE:
            return ""
        cell = self._cells.read(key.class_place, least=key.class_length)
        return _text(cell[: key.class_length], latin=0)

    def set_number(self, value: Value, number: int) -> None:
        """Make *value*, which is a number, another number. Raises TaskError when Windows would undo that."""
        if value.kind != NUMBER_TYPE or len(value.data) != 4:
            raise self._cells.damaged("what should be a number is none")
        self.set_data(value, number.to_bytes(4, "little"))

    def set_data(self, value: Value, data: bytes) -> None:
        """Make *data* that of *value*; what has more than four bytes stays so. Raises TaskError like the above."""
        size, place = struct.unpack_from("<II", self._cells.read(value.place, b"vk", 20), 4)
        if size & _INLINE:
            if len(data) != len(value.data):
                raise self._cells.damaged("a value is shorter than it should be")
            self._cells.write(value.place, _DATA_PLACE, data)
            return
        if len(data) <= len(self._cells.read(place)):
            self._cells.write(place, 0, data)
        else:
            place = self._cells.move(place, data)
        self._cells.write(value.place, _DATA_SIZE, struct.pack("<II", len(data), place))

    def _value(self, place: int, cell: bytes) -> Value:
        size, data, kind = struct.unpack_from("<III", cell, _DATA_SIZE)
        if size & _INLINE:
            size &= ~_INLINE
            if size > 4:
                raise self._cells.damaged("a value is longer than its place")
            return Value(kind, cell[_DATA_PLACE : _DATA_PLACE + size], place)
        if size > _DATA:
            raise self._cells.damaged("a value is too long")
        content = self._cells.read(data) if size else b""
        if len(content) < size:
            raise self._cells.damaged("a value is cut")
        return Value(kind, content[:size], place)

    def _child(self, key: Key, name: str) -> Key | None:
        for place in self._subkeys(key.subkeys):
            child = self._key(place)
            if child.name.lower() == name.lower():
                return child
        return None

    def _key(self, place: int) -> Key:
        cell = self._cells.read(place, b"nk", 76)
        flags = struct.unpack_from("<H", cell, 2)[0]
        subkeys = struct.unpack_from("<I", cell, 28)[0]
        value_count, values = struct.unpack_from("<II", cell, 36)
        class_place = struct.unpack_from("<I", cell, 48)[0]
        length, class_length = struct.unpack_from("<HH", cell, 72)
        name = _text(cell[76 : 76 + length], latin=flags & _LATIN_KEY)
        return Key(name, subkeys, values, value_count, class_place, class_length)

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
                    raise self._cells.damaged("a key has too many subkeys")
                found += more
        return found

    def _list(self, place: int) -> tuple[bytes, list[int]]:
        cell = self._cells.read(place)
        kind, count = cell[:2], int.from_bytes(cell[2:4], "little")
        # lf and lh have a hash behind each place.
        step = {b"lf": 8, b"lh": 8, b"li": 4, b"ri": 4}.get(kind, 0)
        if not step or len(cell) < 4 + count * step:
            raise self._cells.damaged("a list of subkeys is cut")
        return kind, [struct.unpack_from("<I", cell, 4 + number * step)[0] for number in range(count)]


def _text(raw: bytes, *, latin: int) -> str:
    return raw.decode("latin-1" if latin else "utf-16-le", "replace")
