# SPDX-License-Identifier: BSD-2-Clause
"""What a file is, by its first and last bytes. Nothing here opens a file."""

from __future__ import annotations

import struct

FORMATS = ("raw", "qcow2", "vmdk", "vpc", "vhdx")

_MAGIC = {
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"COWD": "vmdk",
    b"conectix": "vpc",
    b"vhdxfile": "vhdx",
}
_VMDK_TEXT = b"# Disk DescriptorFile"

_PACKINGS = {
    b"\x1f\x8b\x08": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
}

# As many bytes of a file as the functions want of its beginning, and of its end.
HEAD = 512
TAIL = 512

_QCOW2_EXTERNAL_DATA = 1 << 2


def disk_format(head: bytes, tail: bytes) -> str:
    """The format of the disk image that begins with *head* and ends with *tail*; raw when it is no other."""
    for magic, name in _MAGIC.items():
        if head.startswith(magic):
            return name
    if head.startswith(_VMDK_TEXT):
        return "vmdk"
    return "vpc" if _is_vhd_footer(tail) else "raw"


def _is_vhd_footer(tail: bytes) -> bool:
    """Whether *tail* is the footer of a fixed VHD, which has nothing at its beginning; it has a checksum."""
    if len(tail) != TAIL or not tail.startswith(b"conectix"):
        return False
    [checksum] = struct.unpack(">I", tail[64:68])
    rest = sum(tail[:64]) + sum(tail[68:])
    return bool(checksum == ~rest & 0xFFFFFFFF)


def packing(head: bytes) -> str | None:
    """What the file that begins with *head* is compressed with, if it is."""
    return next((name for magic, name in _PACKINGS.items() if head.startswith(magic)), None)


def reference(head: bytes, format_name: str) -> str | None:
    """What other file an image needs that begins with *head*, in words; None for none that shows there."""
    if format_name == "qcow2" and len(head) >= 80:
        version, backing = struct.unpack(">IQ", head[4:16])
        [incompatible] = struct.unpack(">Q", head[72:80])
        if version >= 3 and incompatible & _QCOW2_EXTERNAL_DATA:
            return "an external data file"
        if backing:
            return "a backing file"
    if format_name == "vmdk" and head.startswith(_VMDK_TEXT):
        return "extents in other files"
    return None


def zstd_size(head: bytes) -> int | None:
    """The size that the first frame of a zstd file says it has unpacked. RFC 8878, 3.1.1.1."""
    descriptor = head[4]
    single, kind = descriptor >> 5 & 1, descriptor >> 6
    width = (1 if single else 0, 2, 4, 8)[kind]
    if width == 0:
        return None
    at = 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3]
    size = int.from_bytes(head[at : at + width], "little")
    return size + 256 if width == 2 else size


def gzip_size(tail: bytes) -> int:
    """A size that a gzip file says it has at least unpacked: the last four bytes count it modulo 4 GiB. RFC 1952."""
    return int.from_bytes(tail[-4:], "little")
