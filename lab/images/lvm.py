# SPDX-License-Identifier: BSD-2-Clause
"""The beginning of an LVM physical volume that holds one volume group with one logical volume.

Written here because LVM's own tools want a block device and a kernel with a device mapper, which a machine that only
makes images need not have. The format is that of lvm2's lib/format_text/layout.h and lib/label/label.h.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from dataclasses import dataclass

_SECTOR = 512
EXTENT_BYTES = 4 << 20
# Where the first extent is, and with it the file system of the one logical volume.
DATA_OFFSET = 1 << 20
_AREA_START = 4096
_AREA_SIZE = DATA_OFFSET - _AREA_START
_MAGIC = b"\x20LVM2\x20x[5A%r0N*>"
_FIRST_CRC = 0xF597A6CF  # lib/misc/crc.h
_END_OF_LIST = bytes(16)


@dataclass(frozen=True, slots=True)
class Volume:
    """The logical volume *name* over all of *group*, on a partition of *size_bytes*."""

    group: str
    name: str
    size_bytes: int

    @property
    def extents(self) -> int:
        return (self.size_bytes - DATA_OFFSET) // EXTENT_BYTES


def physical_volume(volume: Volume) -> bytes:
    """The first :data:`DATA_OFFSET` bytes of the partition."""
    text = _metadata(volume).encode() + b"\0"
    area = _area_header(text) + text
    return (bytes(_SECTOR) + _label(volume)).ljust(_AREA_START, b"\0") + area.ljust(_AREA_SIZE, b"\0")


def crc(data: bytes) -> int:
    """LVM's checksum: the usual CRC-32, with another start and without the last inversion."""
    return zlib.crc32(data, _FIRST_CRC ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def _label(volume: Volume) -> bytes:
    areas = struct.pack("<QQ", DATA_OFFSET, 0) + _END_OF_LIST
    areas += struct.pack("<QQ", _AREA_START, _AREA_SIZE) + _END_OF_LIST
    extension = struct.pack("<II", 2, 1) + _END_OF_LIST  # version 2; the volume is in use
    content = _identity(volume, "pv").replace("-", "").encode() + struct.pack("<Q", volume.size_bytes)
    summed = struct.pack("<I8s", 32, b"LVM2 001") + content + areas + extension
    summed = summed.ljust(_SECTOR - 20, b"\0")
    return struct.pack("<8sQI", b"LABELONE", 1, crc(summed)) + summed


def _area_header(text: bytes) -> bytes:
    where = struct.pack("<QQII", _SECTOR, len(text), crc(text), 0)
    summed = (struct.pack("<16sIQQ", _MAGIC, 1, _AREA_START, _AREA_SIZE) + where).ljust(_SECTOR - 4, b"\0")
    return struct.pack("<I", crc(summed)) + summed


def _identity(volume: Volume, what: str) -> str:
    """An identity as LVM writes it, the same for the same names: 32 characters in groups of 6, 4, ... and 6."""
    digits = uuid.uuid5(uuid.NAMESPACE_DNS, f"{what}.{volume.name}.{volume.group}").hex
    cuts = (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(digits[start:end] for start, end in zip(cuts, cuts[1:], strict=False))


def _metadata(volume: Volume) -> str:
    sectors, extent_sectors = volume.size_bytes // _SECTOR, EXTENT_BYTES // _SECTOR
    return f"""{volume.group} {{
id = "{_identity(volume, "vg")}"
seqno = 1
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = {extent_sectors}
max_lv = 0
max_pv = 0
metadata_copies = 0

physical_volumes {{
pv0 {{
id = "{_identity(volume, "pv")}"
device = "/dev/vda2"
status = ["ALLOCATABLE"]
flags = []
dev_size = {sectors}
pe_start = {DATA_OFFSET // _SECTOR}
pe_count = {volume.extents}
}}
}}

logical_volumes {{
{volume.name} {{
id = "{_identity(volume, "lv")}"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
creation_time = 1577836800
creation_host = "lab"
segment_count = 1

segment1 {{
start_extent = 0
extent_count = {volume.extents}
type = "striped"
stripe_count = 1
stripes = [
"pv0", 0
]
}}
}}
}}
}}
contents = "Text Format Volume Group"
version = 1
description = ""
creation_host = "lab"
creation_time = 1577836800
"""
