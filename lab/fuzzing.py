# SPDX-License-Identifier: BSD-2-Clause
"""Disks with a few bytes of their partition table or of a superblock changed: the same ones for the same number.

Most changes would be refused for a wrong checksum alone. Therefore in every other disk the checksums are made right
again, so that what is behind them has to cope with the change.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECTOR = 512
_START = 2048 * SECTOR

# Numbers at which arithmetic breaks, as bytes of a number of 1, 2, 4 or 8.
_EDGES = (0, 1, 0x7F, 0x80, 0xFE, 0xFF)


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a disk that somebody reads before anything else, and how its checksums are put right."""

    start: int
    size: int
    mend: Callable[[bytearray], None] = lambda raw: None


@dataclass(frozen=True, slots=True)
class Mutation:
    """What makes the disk number *number* of a kind: bytes, and where on the disk they go."""

    number: int
    region: str
    mended: bool
    start: int
    content: bytes

    def apply(self, disk: Path) -> None:
        """Change *disk* in place."""
        with disk.open("r+b") as stream:
            stream.seek(self.start)
            stream.write(self.content)


def mutations(kind: str, base: Path, numbers: range) -> Iterator[Mutation]:
    """The mutations of the disk *base*, whose file system is *kind*, with these *numbers*."""
    regions = {"table": _TABLE, **REGIONS[kind]}
    with base.open("rb") as stream:
        for number in numbers:
            chance = random.Random(f"{kind} {number}")  # noqa: S311 - to be the same each time
            name = chance.choice(sorted(regions))
            region = regions[name]
            stream.seek(region.start)
            raw = bytearray(stream.read(region.size))
            for _ in range(chance.choice((1, 2, 8, 64))):
                _change(raw, chance)
            mended = number % 2 == 0
            if mended:
                region.mend(raw)
            yield Mutation(number, name, mended, region.start, bytes(raw))


def _change(raw: bytearray, chance: random.Random) -> None:
    """Change a number of 1 to 8 bytes somewhere in *raw*, preferably where there is one."""
    size = chance.choice((1, 2, 4, 8))
    places = [chance.randrange(len(raw) // size) * size for _ in range(40)]
    at = next((place for place in places if any(raw[place : place + size])), places[0])
    if chance.random() < 0.2:
        at = places[0]
    old = int.from_bytes(raw[at : at + size], "little")
    new = chance.choice(
        (
            int.from_bytes(bytes([chance.choice(_EDGES)]) * size, "little"),
            old ^ (1 << chance.randrange(8 * size)),
            old + chance.choice((-1, 1)),
            chance.getrandbits(8 * size),
        )
    )
    new %= 1 << 8 * size
    raw[at : at + size] = (new if new != old else old ^ 1).to_bytes(size, "little")


def _mend_gpt(raw: bytearray) -> None:
    """UEFI 5.3.2: the header has a checksum of the entries, and then one of itself."""
    size, entries, each = min(512, _number(raw, 512 + 12)), _number(raw, 512 + 80), _number(raw, 512 + 84)
    struct.pack_into("<I", raw, 512 + 88, zlib.crc32(raw[1024 : 1024 + min(entries * each, 128 * 128)]))
    struct.pack_into("<I", raw, 512 + 16, 0)
    struct.pack_into("<I", raw, 512 + 16, zlib.crc32(raw[512 : 512 + size]))


def _mend_xfs(raw: bytearray) -> None:
    struct.pack_into("<I", raw, 224, 0)
    struct.pack_into("<I", raw, 224, crc32c(raw[:512]))


def _mend_btrfs(raw: bytearray) -> None:
    struct.pack_into("<I", raw, 0, crc32c(raw[32:4096]))


def _number(raw: bytearray, at: int) -> int:
    return int.from_bytes(raw[at : at + 4], "little")


def crc32c(raw: bytes | bytearray) -> int:
    """The checksum of Castagnoli, which file systems have: RFC 3720, B.4."""
    value = 0xFFFFFFFF
    for byte in raw:
        value = value >> 8 ^ _CASTAGNOLI[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _castagnoli(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CASTAGNOLI = [_castagnoli(byte) for byte in range(256)]

# The sectors from 0 on: the old table, the header of the new one, and its first 120 entries.
_TABLE = Region(0, 34 * SECTOR, _mend_gpt)
REGIONS = {
    # The superblock, and behind it the descriptors of groups; without checksums, as small_linux makes it.
    "ext4": {"superblock": Region(_START + 1024, 1024), "groups": Region(_START + 4096, 1024)},
    "xfs": {"superblock": Region(_START, 512, _mend_xfs), "headers": Region(_START + 512, 3 * 512)},
    "btrfs": {"superblock": Region(_START + 0x10000, 4096, _mend_btrfs)},
    # The boot sector, and the first records of the table of files; mkntfs puts it at cluster 4.
    "ntfs": {"superblock": Region(_START, 512), "files": Region(_START + 4 * 4096, 16 * 1024)},
}
