# SPDX-License-Identifier: BSD-2-Clause
"""What files are, by their first and last bytes."""

from __future__ import annotations

import gzip
import struct

import pytest

from ganeti_cloud.imagefile.formats import disk_format, gzip_size, packing, reference, zstd_size


def footer(*, broken: bool = False) -> bytes:
    """The footer of a fixed VHD."""
    body = bytearray(b"conectix" + bytes(504))
    body[60:64] = (2).to_bytes(4, "big")
    body[64:68] = (~sum(body) & 0xFFFFFFFF).to_bytes(4, "big")
    body[100] = broken
    return bytes(body)


@pytest.mark.parametrize(
    ("head", "tail", "name"),
    [
        (b"QFI\xfb\0\0\0\3", b"", "qcow2"),
        (b"KDMV\1\0\0\0", b"", "vmdk"),
        (b"COWD", b"", "vmdk"),
        (b"# Disk DescriptorFile\nversion=1\n", b"", "vmdk"),
        (b"conectix", b"", "vpc"),
        (bytes(512), footer(), "vpc"),
        (bytes(512), footer(broken=True), "raw"),
        (b"vhdxfile", b"", "vhdx"),
        (b"QF" + bytes(510), bytes(512), "raw"),
        (b"", b"", "raw"),
    ],
)
def test_formats(head: bytes, tail: bytes, name: str) -> None:
    assert disk_format(head, tail) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"\xfd7zXZ\0\0", "xz"),
        (b"\x28\xb5\x2f\xfd\0", "zstd"),
        (b"BZh9", "bzip2"),
        (b"\x1f\x8b\x07", None),
        (b"QFI\xfb", None),
        (b"", None),
    ],
)
def test_packings(head: bytes, name: str | None) -> None:
    assert packing(head) == name


def qcow2(*, version: int = 3, backing: int = 0, incompatible: int = 0) -> bytes:
    head = b"QFI\xfb" + struct.pack(">IQ", version, backing)
    return head.ljust(72, b"\0") + struct.pack(">Q", incompatible)


@pytest.mark.parametrize(
    ("head", "format_name", "what"),
    [
        (qcow2(), "qcow2", None),
        (qcow2(backing=104), "qcow2", "a backing file"),
        (qcow2(incompatible=4), "qcow2", "an external data file"),
        (qcow2(version=2, incompatible=4), "qcow2", None),
        (qcow2(version=2, backing=72), "qcow2", "a backing file"),
        (qcow2(backing=104), "raw", None),
        (b"# Disk DescriptorFile", "vmdk", "extents in other files"),
        (b"KDMV", "vmdk", None),
        (b"QFI\xfb", "qcow2", None),
    ],
)
def test_references(head: bytes, format_name: str, what: str | None) -> None:
    assert reference(head, format_name) == what


MAGIC = b"\x28\xb5\x2f\xfd"


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        pytest.param(b"\x20\x2a", 42, id="single segment, one byte"),
        pytest.param(b"\x60" + (1000 - 256).to_bytes(2, "little"), 1000, id="two bytes"),
        pytest.param(b"\x80\0" + (1 << 30).to_bytes(4, "little"), 1 << 30, id="window, four bytes"),
        pytest.param(
            b"\xc3\0\1\2\3\4" + (5 << 40).to_bytes(8, "little"), 5 << 40, id="window, dictionary, eight bytes"
        ),
        pytest.param(b"\0\0", None, id="not told"),
    ],
)
def test_the_size_that_zstd_declares(frame: bytes, size: int | None) -> None:
    assert zstd_size((MAGIC + frame).ljust(512, b"\0")) == size


def test_the_size_that_gzip_declares() -> None:
    assert gzip_size(gzip.compress(bytes(12345))) == 12345
