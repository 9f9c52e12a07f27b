# SPDX-License-Identifier: BSD-2-Clause
"""What a spool has to bear on a file system of its own. To be run as a program, in a mount namespace of its own."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganeti_cloud import messages, process
from ganeti_cloud.messages import Event, MessageError
from ganeti_cloud.spool import Spool, SpoolFull, put
from ganeti_cloud.spool.putting import lose

EVENT = Event("id-1", messages.IMAGE_INFO, 1_700_000_000_123_456_000, "c1", "n1", "vm1", {"messages": ["begins"]})
# EXT4_IOC_SHUTDOWN of the kernel's fs/ext4/ext4.h: the journal is not written either.
_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = struct.pack("I", 2)


def run(*argv: str) -> None:
    """Run a program of the machine."""
    process.run(list(argv), timeout_s=60)


def event(number: int) -> Event:
    return EVENT._replace(id=f"id-{number}")


@contextmanager
def mounted(image: Path, where: Path) -> Iterator[Path]:
    """The folder of a spool on the file system in *image*, mounted at *where*."""
    # Of its own accord the journal is written every five seconds otherwise.
    run("mount", "-o", "loop,commit=3600", str(image), str(where))
    try:
        folder = where / "spool"
        folder.mkdir(exist_ok=True)
        yield folder
    finally:
        run("umount", str(where))


def new_disk(work: Path, mib: int) -> tuple[Path, Path]:
    """An empty file system, and where to mount it."""
    image, where = work / "disk.img", work / "disk"
    where.mkdir()
    with image.open("wb") as stream:
        stream.truncate(mib << 20)
    # It is not to be initialised beside the test.
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(image))
    return image, where


def content(folder: Path) -> dict[str, list[str]]:
    """The events in *folder* by their ids, and how many of its files are none."""
    there = Spool(folder)
    whole, torn = [], []
    for name in there.names():
        try:
            whole.append(there.read(name).id)
        except MessageError:
            torn.append(name)
    return {"whole": whole, "torn": torn}


def power_cut(work: Path, *how: str) -> dict[str, object]:
    """Put events, have the power go, and tell what is there then. *how* says what of it is not synced."""
    synced = os.fsync

    def fsync(descriptor: int) -> None:
        if ("folders" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "files") not in how:
            synced(descriptor)

    os.fsync = os.fdatasync = fsync  # type: ignore[assignment]  # which take other things as well
    image, where = new_disk(work, 64)
    with mounted(image, where):
        run("sync", "-f", str(where))  # the folder itself is there for long
    with mounted(image, where) as folder:
        lose(folder, 7)
        returned = []
        for number in range(40):
            put(folder, event(number))
            returned.append(f"id-{number}")
        # One that is on its way when the power goes.
        (folder / ".new-0").write_text(EVENT.encode()[:50], encoding="utf-8")
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, _NOLOGFLUSH)
        finally:
            os.close(descriptor)
    with mounted(image, where) as folder:
        found = content(folder)
        put(folder, event(1000))
        return {"returned": returned, **found, "after": content(folder)["whole"], "lost": Spool(folder).take_lost()}


def full(work: Path, *how: str) -> dict[str, object]:
    """Fill the file system, and tell what becomes of events."""
    (kind,) = how
    if kind == "tmpfs":
        where = work / "disk"
        where.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(where))
        try:
            (where / "spool").mkdir()
            return _full(where / "spool")
        finally:
            run("umount", str(where))
    with mounted(*new_disk(work, 8)) as folder:
        return _full(folder)


def _full(folder: Path) -> dict[str, object]:
    put(folder, event(1))
    room = Spool(folder).has_room()
    with suppress(OSError), (folder.parent / "filler").open("wb", buffering=0) as stream:
        while True:
            stream.write(b"x" * 512)
    refused = []
    for number in (2, 3):
        try:
            put(folder, event(number))
        except SpoolFull as err:
            refused.append(str(err))
    try:
        Spool(folder).put(event(4))
    except SpoolFull:
        refused.append("patient")
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".json")
    room_then = Spool(folder).has_room()
    (folder.parent / "filler").unlink()
    there = Spool(folder)
    lost = there.take_lost(lambda lost: put(folder, event(100 + lost)))
    return {
        "refused": refused,
        "others": names,
        "room": [room, room_then],
        "lost": lost,
        "content": content(folder),
    }


def frozen(work: Path) -> dict[str, object]:
    """Put an event while the file system takes nothing, and again when it does."""
    with mounted(*new_disk(work, 64)) as folder:
        put(folder, event(1))
        run("fsfreeze", "--freeze", str(folder.parent))
        try:
            killed, left = _beside(lambda: put(folder, event(2))), _beside(lambda: put(folder, event(3)))
            time.sleep(0.5)
            hung = [os.waitpid(pid, os.WNOHANG) == (0, 0) for pid in (killed, left)]
            os.kill(killed, signal.SIGKILL)
        finally:
            run("fsfreeze", "--unfreeze", str(folder.parent))
        ends = [os.waitpid(pid, 0)[1] for pid in (killed, left)]
        put(folder, event(4))
        return {"hung": hung, "ends": ends, "content": content(folder)}


def _beside(action: Callable[[], None]) -> int:
    pid = os.fork()
    if not pid:
        action()
        os._exit(0)
    return pid


if __name__ == "__main__":
    trials: dict[str, Callable[..., object]] = {"power-cut": power_cut, "full": full, "frozen": frozen}
    trial = trials[sys.argv[1]]
    sys.stdout.write(json.dumps(trial(Path(sys.argv[2]), *sys.argv[3:])))
