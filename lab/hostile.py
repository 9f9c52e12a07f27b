# SPDX-License-Identifier: BSD-2-Clause
"""Disks as a hostile owner would make them. Each is made without mounting a Linux file system, in seconds."""

from __future__ import annotations

import os
import random
import re
import shutil
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum, auto
from functools import partial
from pathlib import Path

from ganeti_cloud.process import run
from lab import million
from lab.small_linux import MIB, SECTOR, TOOL_S, Change, debugfs, extents, make_disk, make_volume
from lab.windows_like import CONFIG
from lab.windows_like import make_disk as make_windows

# Where deployments write, or from where they take what they write.
TARGETS = (
    "etc/hostname",
    "etc/hosts",
    "etc/machine-id",
    "etc/passwd",
    "etc/shadow",
    "etc/group",
    "etc/ssh/sshd_config",
    "etc/ssh/ssh_host_ed25519_key",
    "etc/ssh/ssh_host_rsa_key",
    "etc/network/interfaces",
    "etc/selinux/config",
    "root/.ssh/authorized_keys",
    "var/lib/dbus/machine-id",
    ".autorelabel",
)
FOLDERS = ("etc/ssh", "etc/network", "etc/systemd/network", "root", "var/lib/dbus")

# What would be hit if a link led out of the guest: the helper's own job disk, its kernel, its process 1.
OUTSIDE = ("/dev/vda", "/proc/sysrq-trigger", "../../../../../../../../dev/vdb", "/proc/1/root/etc/hostname")

_START = 2048 * SECTOR


class Ending(StrEnum):
    """How a deployment has to end: with an error, well, or with either of them."""

    FAILS = auto()
    SUCCEEDS = auto()
    EITHER = auto()


@dataclass(frozen=True, slots=True)
class Hostile:
    """A disk: how it is made, and how its deployment ends."""

    make: Callable[[Path], None]
    ending: Ending


def _linux(path: Path, kind: str = "ext4", change: Change | None = None, table: str = "gpt") -> None:
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder, "volume")
        make_volume(volume, kind, change)
        make_disk(path, volume, table=table)


def _edited(path: Path, commands: Sequence[str]) -> None:
    """An ext4 that debugfs has changed afterwards, into what no kernel writes."""
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder, "volume")
        make_volume(volume, "ext4")
        debugfs(volume, *commands)
        make_disk(path, volume)


def _smashed(kind: str, *places: tuple[int, int]) -> Hostile:
    """Random bytes over *places* of the file system: where they start, and how many."""
    return Hostile(partial(_smash, kind=kind, places=places), Ending.FAILS)


def _smash(path: Path, kind: str, places: Sequence[tuple[int, int]]) -> None:
    if kind == "ntfs":
        make_windows(path)
    else:
        _linux(path, kind)
    _scribble(path, *((_START + start, size) for start, size in places))


def _without_trees(path: Path) -> None:
    """A btrfs with the first of its superblocks, which is all that is right in it."""
    _linux(path, "btrfs")
    _scribble(path, *((begin, end - begin) for begin, end in extents(path) if begin >= _START + MIB))


def _scribble(path: Path, *places: tuple[int, int]) -> None:
    chance = random.Random(str(places))  # noqa: S311 - to be the same each time
    with path.open("r+b") as stream:
        for start, size in places:
            stream.seek(start)
            stream.write(chance.randbytes(size))


def _empty(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(32 * MIB)


def _noise(path: Path) -> None:
    _empty(path)
    _scribble(path, (0, 2 * MIB), (31 * MIB, MIB))


def _broken_tables(path: Path) -> None:
    """Both copies of the table are damaged."""
    _linux(path)
    size = path.stat().st_size
    _scribble(path, (SECTOR + 16, 64), (size - SECTOR + 16, 64))


def _endless_chain(path: Path) -> None:
    """An extended partition whose records of logical ones name each other as the next."""
    _linux(path, table="logical")
    with path.open("r+b") as stream:
        for own, other in ((2048, 2176), (2176, 2048)):
            record = bytearray(SECTOR)
            # A logical partition, counted from its own record, and the next record, from the extended partition.
            for at, kind, start in ((446, 0x83, 2048), (462, 0x05, other - 2048)):
                struct.pack_into("<B3xB3xII", record, at, 0, kind, start, 64)
            record[510:] = b"\x55\xaa"
            stream.seek(own * SECTOR)
            stream.write(record)


def _overlapping(path: Path) -> None:
    """Four partitions over each other, two of them beyond the end of the disk."""
    _linux(path, table="dos")
    with path.open("r+b") as stream:
        for number, (start, size) in enumerate(((2048, 49152), (2048, 49152), (1, 0xFFFFFFFF), (0xFFFFFFF0, 0xFF))):
            stream.seek(446 + 16 * number)
            stream.write(struct.pack("<B3xB3xII", 0x80, 0x83, start, size))


def _full(path: Path) -> None:
    """Not a block is left, and the disk gives no more."""
    with tempfile.TemporaryDirectory() as folder:
        volume, filler = Path(folder, "volume"), Path(folder, "filler")
        make_volume(volume, "ext4")
        name = 0
        while free := free_blocks(volume):
            # Large files need a few blocks more than their content; the last ones are taken one by one.
            filler.write_bytes(b"\xff" * 4096 * max(1, free - 16))
            debugfs(volume, f"write {filler} /filler{name}")
            name += 1
        make_disk(path, volume, spare_mib=0)


def free_blocks(volume: Path) -> int:
    """How many blocks of the ext file system in *volume* are free."""
    found = re.search(r"^Free blocks: +(\d+)$", run(["dumpe2fs", "-h", str(volume)], timeout_s=TOOL_S), re.MULTILINE)
    if found is None:
        raise ValueError(f"dumpe2fs did not tell the free blocks of {volume}")
    return int(found[1])


def _full_of_files(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder, "volume")
        million.make_volume(volume)
        make_disk(path, volume)


def _at_files(put: Callable[[Path, int], None], tree: Path) -> None:
    """Replace each file that deployments touch by what *put* makes of its path and number."""
    for number, name in enumerate(TARGETS):
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        put(path, number)


def _at_folders(tree: Path) -> None:
    for number, name in enumerate(FOLDERS):
        shutil.rmtree(tree / name, ignore_errors=True)
        (tree / name).symlink_to(OUTSIDE[number % len(OUTSIDE)])


def _all_of_etc(tree: Path) -> None:
    (tree / "etc").rename(tree / "etc.own")
    (tree / "etc").symlink_to("/proc/1/root/etc.own/../../../etc.own")


def _link(path: Path, number: int) -> None:
    path.symlink_to(OUTSIDE[number % len(OUTSIDE)])


def _to_itself(path: Path, number: int) -> None:
    path.symlink_to(path.name)


def _pipe(path: Path, number: int) -> None:
    os.mkfifo(path)


def _device(path: Path, number: int) -> None:
    """A device: memory, the endless zero, or the disk with the job (253 is the first number that the kernel gives)."""
    block, major, minor = ((False, 1, 1), (False, 1, 5), (True, 253, 0))[number % 3]
    os.mknod(path, (0o60666 if block else 0o20666), os.makedev(major, minor))


def _folder(path: Path, number: int) -> None:
    path.mkdir()


def _huge(path: Path, number: int) -> None:
    """A terabyte of nothing; ext4 keeps the hole."""
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


def _nonsense(path: Path, number: int) -> None:
    path.write_bytes(random.Random(number).randbytes(3000))  # noqa: S311 - to be the same each time


def _fstab(text: str, tree: Path) -> None:
    (tree / "etc/fstab").write_text(text, encoding="utf-8")


def _damaged_hives(tree: Path) -> None:
    chance = random.Random(4)  # noqa: S311 - to be the same each time
    for hive in (tree / CONFIG).iterdir():
        raw = hive.read_bytes()
        hive.write_bytes(raw[:4096] + chance.randbytes(len(raw) - 4096))


# Ten entities, each of ten of the one before it: three gigabytes of text.
_EXPLOSION = (
    '<!DOCTYPE unattend [<!ENTITY a0 "lol">'
    + "".join(f'<!ENTITY a{number} "{f"&a{number - 1};" * 10}">' for number in range(1, 10))
    + ']><unattend xmlns="urn:schemas-microsoft-com:unattend">&a9;</unattend>'
)
_MOUNTS = "/dev/vda1 / ext4 defaults 0 1\n"
_OVER_US = "".join(
    f"/dev/vda1 {where} ext4 defaults 0 0\n" for where in ("/../..", "/proc", "/dev", "/run/guest", "/../proc/self/fd")
)

_FAILS, _SUCCEEDS, _EITHER = Ending.FAILS, Ending.SUCCEEDS, Ending.EITHER


def _changed(change: Change, ending: Ending, kind: str = "ext4") -> Hostile:
    return Hostile(partial(_linux, kind=kind, change=change), ending)


def _with(put: Callable[[Path, int], None], ending: Ending) -> Hostile:
    return _changed(partial(_at_files, put), ending)


HOSTILE = {
    "nothing": Hostile(_empty, _FAILS),
    "noise": Hostile(_noise, _FAILS),
    "both tables damaged": Hostile(_broken_tables, _FAILS),
    "endless chain of partitions": Hostile(_endless_chain, _EITHER),
    "overlapping partitions": Hostile(_overlapping, _EITHER),
    "ext4 without its superblock": _smashed("ext4", (1024, 1024)),
    "ext4 with damaged groups": _smashed("ext4", (4096, 4096)),
    "ext4 with damaged records of files": _smashed("ext4", (4096, 1 << 20)),
    "xfs without its superblock": _smashed("xfs", (0, 512)),
    "xfs with damaged headers": _smashed("xfs", (512, 1536)),
    "xfs with damaged trees": _smashed("xfs", (4096, 1 << 20)),
    "btrfs without its superblock": _smashed("btrfs", (0x10000, 4096)),
    "btrfs with damaged trees": Hostile(_without_trees, _FAILS),
    "ntfs without its boot sector": _smashed("ntfs", (0, 512)),
    "ntfs with a damaged table of files": _smashed("ntfs", (4 * 4096, 1 << 20)),
    "ntfs with damaged hives": Hostile(partial(make_windows, change=_damaged_hives), _FAILS),
    "ntfs with an answer file that explodes": Hostile(partial(make_windows, answers=_EXPLOSION.encode()), _FAILS),
    "folders within themselves": Hostile(
        partial(_edited, commands=("ln /etc /etc/network/etc", "ln / /etc/systemd/network/root", "ln / /root/.ssh")),
        _EITHER,
    ),
    "a full file system": Hostile(_full, _FAILS),
    "a million files": Hostile(_full_of_files, _EITHER),
    "links out of the root, at every file": _with(_link, _EITHER),
    "links out of the root, at every folder": _changed(_at_folders, _EITHER),
    "links to themselves": _with(_to_itself, _FAILS),
    "pipes": _with(_pipe, _FAILS),
    "devices": _with(_device, _FAILS),
    "folders for files": _with(_folder, _FAILS),
    "terabytes": _with(_huge, _FAILS),
    "nonsense": _with(_nonsense, _FAILS),
    "a link for all of etc": _changed(_all_of_etc, _FAILS),
    "a table of mounts over the helper": _changed(partial(_fstab, _MOUNTS + _OVER_US), _EITHER),
    "an endless table of mounts": _changed(partial(_fstab, _MOUNTS * 40_000), _EITHER),
    "btrfs, links out of the root": _changed(partial(_at_files, _link), _EITHER, "btrfs"),
}
