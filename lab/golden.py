# SPDX-License-Identifier: BSD-2-Clause
"""The golden image: a raw disk with one FAT partition that boots the test guest, the same for the same inputs.

Made without root and without mounts: mtools and syslinux write into the file.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.process import run
from lab.guest import Guest, guest
from lab.places import CACHE
from lab.rootfs import MAKE_SETUP, locked
from lab.spec import Release
from lab.timeline import Timeline

SIZE_BYTES = 64 << 20
_PART_START = 1 << 20
_SECTOR = 512
# Data that no storage can shrink, so that copying an image costs what it costs in life.
_PAYLOAD_BYTES = 32 << 20
_FORMAT = 1
_MBR = Path("/usr/lib/SYSLINUX/mbr.bin")
_STEP_S = 60.0
_ENVIRONMENT = {"SOURCE_DATE_EPOCH": "1577836800", "TZ": "UTC", "MTOOLSRC": "/dev/null"}


@dataclass(frozen=True, slots=True)
class GoldenImage:
    """A finished image. *sha256* is of the whole file: what the guest prints when its disk is a true copy."""

    path: Path
    size_bytes: int
    sha256: str


def golden(release: Release, timeline: Timeline) -> GoldenImage:
    """The golden image with the kernel of *release*; built when it is not in the cache."""
    parts = guest(release, timeline)
    target = CACHE / f"{parts.kernel.parent.name}-{_FORMAT}.raw"
    with locked(CACHE / f"image-{release}.lock"):
        if not target.exists():
            with timeline.step(f"golden image of {release} built"):
                write_image(parts, target)
    return GoldenImage(target, SIZE_BYTES, sha256_of(target))


def write_image(parts: Guest, target: Path) -> None:
    """Write the image of the guest *parts* to *target*, in one step as seen by others."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as name:
        folder = Path(name)
        disk = folder / "disk.raw"
        disk.touch()
        os.truncate(disk, SIZE_BYTES)
        _format(disk)
        _copy_in(disk, _files(parts, folder))
        _syslinux(disk)
        _boot_record(disk)
        disk.replace(target)


def boot_record(code: bytes) -> bytes:
    """The first sector: *code* that starts the one active partition, and the table that has it."""
    start, size = _PART_START // _SECTOR, (SIZE_BYTES - _PART_START) // _SECTOR
    # Status, CHS of the first sector, type, CHS of the last, LBA of the first, sectors. FE FF FF: "use LBA".
    entry = struct.pack("<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x0E, b"\xfe\xff\xff", start, size)
    identity = struct.pack("<IH", 0x6C616221, 0)
    return code[:440].ljust(440, b"\0") + identity + entry + bytes(48) + b"\x55\xaa"


def syslinux_config(size_bytes: int) -> str:
    """What the boot loader starts, at once and without a word."""
    return (
        "SERIAL 0 115200\nDEFAULT lab\nPROMPT 0\nTIMEOUT 1\n"
        "LABEL lab\n LINUX vmlinuz\n INITRD initrd.gz\n"
        f" APPEND console=ttyS0 panic=-1 quiet lab.image_bytes={size_bytes}\n"
    )


def sha256_of(path: Path) -> str:
    """The sum of a whole file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _files(parts: Guest, folder: Path) -> list[Path]:
    config, payload = folder / "syslinux.cfg", folder / "payload.bin"
    config.write_text(syslinux_config(SIZE_BYTES), encoding="ascii")
    payload.write_bytes(hashlib.shake_256(b"ganeti-cloud lab").digest(_PAYLOAD_BYTES))
    return [parts.kernel, parts.initrd, config, payload]


def _format(disk: Path) -> None:
    kib = (SIZE_BYTES - _PART_START) // 1024
    start = str(_PART_START // _SECTOR)
    # -h: the boot sector must know where on the disk it is, or syslinux looks for itself at the disk's beginning.
    argv = ["mkfs.vfat", "--invariant", "-F", "16", "-h", start, "--offset", start, str(disk), str(kib)]
    run(argv, timeout_s=_STEP_S, hint=MAKE_SETUP)


def _copy_in(disk: Path, files: list[Path]) -> None:
    stamp = int(_ENVIRONMENT["SOURCE_DATE_EPOCH"])
    with tempfile.TemporaryDirectory(dir=disk.parent) as name:
        copies = [Path(shutil.copyfile(path, Path(name) / path.name)) for path in files]
        for copy in copies:
            os.utime(copy, (stamp, stamp))
        argv = ["mcopy", "-i", f"{disk}@@{_PART_START}", "-m", *(str(copy) for copy in copies), "::/"]
        run(argv, timeout_s=_STEP_S, env=_ENVIRONMENT, hint=MAKE_SETUP)


def _syslinux(disk: Path) -> None:
    argv = ["syslinux", "--install", "--offset", str(_PART_START), str(disk)]
    run(argv, timeout_s=_STEP_S, env=_ENVIRONMENT, hint=MAKE_SETUP)


def _boot_record(disk: Path) -> None:
    with disk.open("r+b") as stream:
        stream.write(boot_record(_MBR.read_bytes()))
