# SPDX-License-Identifier: BSD-2-Clause
"""Which libraries a program asks for, out of its own bytes: see elf(5)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

_MAGIC = b"\x7fELF\x02\x01"  # 64 bits, little endian
_PT_LOAD = 1
_PT_DYNAMIC = 2
_PT_INTERP = 3
_DT_NEEDED = 1
_DT_STRTAB = 5


class _Segment(NamedTuple):
    kind: int
    flags: int
    offset: int
    address: int
    physical: int
    in_file: int
    in_memory: int
    alignment: int


def needed(path: Path) -> list[str]:
    """The names of the libraries and of the dynamic loader that *path* needs; none when it is no program."""
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        return []
    offset = struct.unpack_from("<Q", data, 32)[0]
    size, count = struct.unpack_from("<HH", data, 54)
    segments = [_Segment(*struct.unpack_from("<IIQQQQQQ", data, offset + size * at)) for at in range(count)]
    names = [
        Path(data[each.offset : each.offset + each.in_file].rstrip(b"\0").decode()).name
        for each in segments
        if each.kind == _PT_INTERP
    ]
    for segment in segments:
        if segment.kind == _PT_DYNAMIC:
            names += _dynamic(data, segment, segments)
    return names


def _dynamic(data: bytes, segment: _Segment, segments: list[_Segment]) -> list[str]:
    entries = list(struct.iter_unpack("<QQ", data[segment.offset : segment.offset + segment.in_file]))
    tables = [value for tag, value in entries if tag == _DT_STRTAB]
    if not tables:
        return []
    strings = _offset(tables[0], segments)
    wanted = [strings + value for tag, value in entries if tag == _DT_NEEDED]
    return [data[at : data.index(b"\0", at)].decode() for at in wanted]


def _offset(address: int, segments: list[_Segment]) -> int:
    """Where in the file what is loaded at *address* lies."""
    for each in segments:
        if each.kind == _PT_LOAD and each.address <= address < each.address + each.in_file:
            return each.offset + address - each.address
    raise ValueError(f"nothing is loaded at {address:#x}")
