# SPDX-License-Identifier: BSD-2-Clause
"""GRUB for machines with a BIOS, put into a disk image by hand: nothing is installed in the guest for it.

What grub-install does is three things: make a core image that knows where its configuration is, write it to sectors
that nobody else uses, and tell the first sector and the core itself where those are.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ganeti_cloud.process import run
from lab.images.partitions import SECTOR, of_use
from lab.images.spec import ImageSpec, Layout
from lab.rootfs import MAKE_SETUP

_PLATFORM = Path("/usr/lib/grub/i386-pc")
_MODULES = (
    """biosdisk part_gpt part_msdos ext2 xfs btrfs zstd normal configfile linux serial terminal echo test""".split()
)
_MAKE_S = 60.0

# Where in the first sector the number of the core's first sector stands (GRUB_BOOT_MACHINE_KERNEL_SECTOR in GRUB's
# include/grub/i386/pc/boot.h), and in the core's own first sector the list of those that follow it: start, count,
# segment to load to (GRUB_BOOT_MACHINE_LIST_SIZE, GRUB_BOOT_MACHINE_KERNEL_SEG).
_KERNEL_SECTOR = 0x5C
_BLOCK_LIST = SECTOR - 12
_SEGMENT = 0x800 + (SECTOR >> 4)
_CODE_BYTES = 440  # what lies behind is the disk's identity and the partition table


def core_place(spec: ImageSpec) -> tuple[int, int]:
    """The first sector for the core image, and how many there are."""
    if (grub := of_use(spec, "grub")) is not None:
        return grub.start // SECTOR, grub.size // SECTOR
    return 1, 2047  # between the partition table and the first partition


def early_config(spec: ImageSpec) -> str:
    """What GRUB runs before it has its configuration."""
    home = "(hd0,msdos1)/grub" if spec.layout is Layout.MBR_LVM else f"{_root(spec)}/boot/grub"
    return f"serial --unit=0 --speed=115200\nterminal_output serial\nset prefix={home}\nconfigfile {home}/grub.cfg\n"


def _root(spec: ImageSpec) -> str:
    return "(hd0,msdos5)" if spec.layout is Layout.MBR_LOGICAL else "(hd0,gpt1)"


def write(spec: ImageSpec, disk: Path, work: Path) -> None:
    """Make the image *disk* start GRUB; *work* is a folder for intermediate files."""
    config, core = work / "early.cfg", work / "core.img"
    config.write_text(early_config(spec), encoding="ascii")
    argv = ["grub-mkimage", "-O", "i386-pc", "-p", "/boot/grub", "-c", str(config), "-o", str(core), *_MODULES]
    run(argv, timeout_s=_MAKE_S, hint=MAKE_SETUP)
    first, room = core_place(spec)
    with disk.open("r+b") as stream:
        stream.write(boot_code((_PLATFORM / "boot.img").read_bytes(), first))
        stream.seek(first * SECTOR)
        stream.write(linked(core.read_bytes(), first, room))


def boot_code(code: bytes, first: int) -> bytes:
    """The start of the disk's first sector: GRUB's *code*, which loads sector *first*."""
    return code[:_KERNEL_SECTOR] + struct.pack("<Q", first) + code[_KERNEL_SECTOR + 8 : _CODE_BYTES]


def linked(core: bytes, first: int, room: int) -> bytes:
    """The *core* image for sector *first*, where *room* sectors are free. Raises ValueError when it is too large."""
    sectors = -(-len(core) // SECTOR)
    if sectors > room:
        raise ValueError(f"GRUB's core image has {sectors} sectors, and there is room for {room}")
    blocks = struct.pack("<QHH", first + 1, sectors - 1, _SEGMENT)
    return core[:_BLOCK_LIST] + blocks + core[SECTOR:]
