# SPDX-License-Identifier: BSD-2-Clause
"""A disk as Windows leaves it after sysprep, as far as a deployment looks at it. Nothing on it can be started.

Its maker needs /dev/fuse, and the right to mount.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ganeti_cloud.process import run
from lab.hives import Registry, write_registry

MIB = 1 << 20
CONFIG = "Windows/System32/config"

# The partition begins at 1 MiB and ends 1 MiB before the end, where GPT keeps its second half.
_START = 2048
_TABLES = {
    "gpt": 'label: gpt\nstart={start}, size={size}, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name="Basic data"\n',
    "dos": "label: dos\nlabel-id: 0x57494e31\nstart={start}, size={size}, type=7, bootable\n",
}
_TOOL_S = 60.0
_FOLDERS = ("Windows/Panther", "Windows/System32/Sysprep", "Users/Administrator", "Program Files", CONFIG)


def make_disk(
    path: Path,
    *,
    table: str = "gpt",
    size_mib: int = 32,
    registry: Registry | None = None,
    answers: bytes | None = None,
    change: Callable[[Path], None] | None = None,
) -> None:
    """Make the raw disk *path*, with a table gpt or dos.

    *answers* becomes the image's own answer file, and *change* is made to its tree in the end.
    """
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder, "volume")
        _truncate(volume, (size_mib - 2) * MIB)
        make_volume(volume, registry or Registry(), answers, change)
        _truncate(path, size_mib * MIB)
        script = _TABLES[table].format(start=_START, size=(size_mib - 2) * MIB // 512)
        run(["sfdisk", "--quiet", str(path)], stdin=script, timeout_s=_TOOL_S)
        with path.open("r+b") as disk, volume.open("rb") as source:
            disk.seek(_START * 512)
            _copy(source, disk, (size_mib - 2) * MIB)


def make_volume(
    path: Path, registry: Registry, answers: bytes | None, change: Callable[[Path], None] | None = None
) -> None:
    """Fill the file *path* with an NTFS."""
    # Without --partition-start and its kin mkntfs warns that Windows will not boot from it.
    geometry = ["--partition-start", str(_START), "--heads", "255", "--sectors-per-track", "63", "--sector-size", "512"]
    run(["mkntfs", "--quiet", "--fast", "--force", *geometry, "--label", "System", str(path)], timeout_s=_TOOL_S)
    with mounted(path) as tree:
        for name in _FOLDERS:
            (tree / name).mkdir(parents=True)
        (tree / "Windows/System32/ntoskrnl.exe").write_bytes(b"MZ" + bytes(510))
        write_registry(tree / CONFIG, registry)
        if answers is not None:
            (tree / "Windows/Panther/Unattend.xml").write_bytes(answers)
        if change is not None:
            change(tree)


@contextmanager
def mounted(volume: Path) -> Iterator[Path]:
    """The tree of the NTFS in the file *volume*, for the block."""
    with tempfile.TemporaryDirectory() as folder:
        # As the helper mounts it: names are those of Windows, in any case of their letters.
        run(["lowntfs-3g", "-o", "ignore_case,windows_names", str(volume), folder], timeout_s=_TOOL_S)
        try:
            yield Path(folder)
        finally:
            run(["umount", folder], timeout_s=_TOOL_S)
            _wait_for(volume)


@contextmanager
def looked_into(disk: Path) -> Iterator[Path]:
    """The tree of the first partition of the raw *disk*, for the block; what is changed there is lost."""
    listing = json.loads(run(["sfdisk", "--json", str(disk)], timeout_s=_TOOL_S))
    first = listing["partitiontable"]["partitions"][0]
    with tempfile.TemporaryDirectory() as folder:
        volume = Path(folder, "volume")
        with disk.open("rb") as source, volume.open("wb") as target:
            source.seek(first["start"] * 512)
            _copy(source, target, first["size"] * 512)
        with mounted(volume) as tree:
            yield tree


def _wait_for(volume: Path) -> None:
    """Wait until the daemon has written all, which umount(8) does for devices only. It has a lock till then."""
    end = time.monotonic() + _TOOL_S
    with volume.open("r+b") as stream:
        while True:
            try:
                fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """Copy *size* bytes, and leave holes for those that are zero."""
    for _ in range(0, size, MIB):
        piece = source.read(min(MIB, size))
        if piece.strip(b"\0"):
            target.write(piece)
        else:
            target.seek(len(piece), os.SEEK_CUR)
    target.truncate(max(target.tell(), os.fstat(target.fileno()).st_size))


def _truncate(path: Path, size: int) -> None:
    with path.open("wb") as stream:
        stream.truncate(size)
