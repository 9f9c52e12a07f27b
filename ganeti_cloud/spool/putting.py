# SPDX-License-Identifier: BSD-2-Clause
"""Putting an event into a spool.

The event is written and synced under another name first. Then, under the lock, it gets its number and its name; what
dies before that leaves no event, and what dies behind it leaves a whole one.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from ganeti_cloud.messages import Event
from ganeti_cloud.spool import bounds, names
from ganeti_cloud.spool.bounds import SpoolFull
from ganeti_cloud.spool.sequence import Sequence, locked, now_ns

FOLDER = Path("/var/spool/ganeti-cloud")
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def put(folder: Path, event: Event) -> None:
    """Put *event* into *folder*, behind all that is there, and durable when this returns.

    Raises ValueError for what is no event, OSError, or SpoolFull. What was not put is counted as lost in the folder, as
    far as the folder lets itself be written. Nobody is waited for longer than the lock's limit, but a file system that
    hangs in the kernel hangs its caller.
    """
    place(folder, event, patient=False)


def place(folder: Path, event: Event, *, patient: bool) -> None:
    """Put *event* into *folder*. Who is *patient* gets less room, and what was not put is not counted as lost."""
    data = (event.encode() + "\n").encode("utf-8")
    path = folder / names.temporary(names.NEW)
    try:
        _write(path, data)
        full = _name(folder, path, len(data), patient=patient)
    except TimeoutError:
        if patient:
            path.unlink(missing_ok=True)
        raise  # what has no number is left behind, and counted by who cleans up
    except OSError as err:
        path.unlink(missing_ok=True)
        if not patient:
            with suppress(OSError):
                lose(folder, 1)
        if err.errno in _NO_ROOM:
            raise SpoolFull(folder, os.strerror(err.errno)) from err
        raise
    if full:
        raise SpoolFull(folder, full)
    _sync(folder)


def lose(folder: Path, events: int) -> None:
    """Count *events* as lost in *folder*, durable when this returns. Raises OSError."""
    with locked(folder) as sequence:
        sequence.lose(events)
        sequence.sync()


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        os.fchmod(descriptor, 0o640)  # the umask of noded (077) must not decide
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _name(folder: Path, path: Path, size: int, *, patient: bool) -> str:
    """Give the event at *path* its number and name; or, when there is no room, remove it, and return the reason."""
    with locked(folder) as sequence:
        if not has_room(sequence, 1, size, patient=patient):
            path.unlink()
            if not patient:
                sequence.lose(1)
                sequence.sync()
            return f"{sequence.record.files} files of {sequence.record.size} bytes wait in it"
        # The number is used up before there is a name with it: what dies between the two leaves out a number.
        number = sequence.next_number(size)
        os.rename(path, folder / names.name_of(number))
    return ""


def has_room(sequence: Sequence, files: int, size: int, *, patient: bool) -> bool:
    """Whether *files* more of *size* bytes have room, counting what is in the folder if need be."""
    if bounds.counting_is_due(sequence.record, files, size, now_ns()):
        sequence.count()
    return bounds.fits_in(sequence.record, files, size, patient=patient)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
