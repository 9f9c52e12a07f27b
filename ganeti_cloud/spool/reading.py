# SPDX-License-Identifier: BSD-2-Clause
"""Taking events out of a spool: for the one process that publishes them."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.messages import MOST_BYTES, Event, MessageError, decode
from ganeti_cloud.spool import names, sequence
from ganeti_cloud.spool.putting import has_room, lose, place
from ganeti_cloud.spool.sequence import locked

# What names() tells of at once, and what is kept of what cannot be read.
_MOST_NAMES = 4000
_MOST_CORRUPT = 1000
# What has no number after so long never gets one: whoever writes it waits for nothing as long as that.
_ABANDONED_S = 60.0
# Less than that is left to others on the same file system.
_LEAST_FREE_BYTES = 4 << 20
_LEAST_FREE_FILES = 100


class Depth(NamedTuple):
    """How much waits: *files* of *bytes* together, the oldest put at *oldest_ns* since 1970, or None."""

    files: int
    bytes: int
    oldest_ns: int | None


class Spool:
    """The events in *folder*. Each call raises OSError when the folder cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The names of the events in their order, or of the first thousands of them.

        None is below one that an earlier call has returned.
        """
        # A folder is not read at once: of two events that come meanwhile the later can be met without the earlier.
        # Those up to this number are all there already.
        with locked(self.folder) as there:
            last = there.record.last
        found = sorted(name for name in os.listdir(self.folder) if names.number_of(name) is not None)
        if found and found[-1] > names.name_of(last) and self._is_behind(found[-1]):
            return self.names()
        return [name for name in found[:_MOST_NAMES] if name <= names.name_of(last)]

    def _is_behind(self, name: str) -> bool:
        """Whether the record knew nothing of *name*: it was lost with its page, and is mended now."""
        with locked(self.folder) as there:
            behind = names.name_of(there.record.last) < name
            if behind:
                there.count()
        return behind

    def read(self, name: str) -> Event:
        """The event *name*. Raises MessageError when it is none, FileNotFoundError when it is gone."""
        data = _content(self.folder / name)
        try:
            return decode(data.decode("utf-8"))
        except UnicodeDecodeError as err:
            raise MessageError(f"this is no event: {err}") from err

    def remove(self, name: str) -> None:
        """Have the event *name* not be there any more."""
        (self.folder / name).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Put *name* where it is kept for people to look at, and count it as lost: it cannot be published."""
        lose(self.folder, 1)
        corrupt = self.folder / names.CORRUPT
        corrupt.mkdir(mode=0o750, exist_ok=True)
        for old in sorted(os.listdir(corrupt))[: -_MOST_CORRUPT + 1]:
            (corrupt / old).unlink(missing_ok=True)
        os.rename(self.folder / name, corrupt / name)

    def expire(self, max_age_s: float) -> int:
        """Remove the events put more than *max_age_s* ago, and what never became one: how many. They are lost."""
        now_ns = time.time_ns()
        limit = name_of_age(now_ns, max_age_s)
        old = [name for name in self.names() if name < limit]
        left = [name for name in os.listdir(self.folder) if self._is_abandoned(name)]
        events = len(old) + sum(name.startswith(names.NEW) for name in left)
        if events:
            lose(self.folder, events)
        for name in old + left:
            self.remove(name)
        return events

    def depth(self) -> Depth:
        """How much waits in the folder."""
        files = size = 0
        first = None
        with os.scandir(self.folder) as entries:
            for entry in entries:
                number = names.number_of(entry.name)
                if number is None:
                    continue
                try:
                    size += entry.stat(follow_symlinks=False).st_size
                except FileNotFoundError:
                    continue
                files += 1
                first = number if first is None else min(first, number)
        return Depth(files, size, first)

    def put(self, event: Event) -> None:
        """Put *event* there, for one who keeps it and tries again: when that fails, it is not counted as lost.

        Raises like :func:`ganeti_cloud.spool.put`.
        """
        place(self.folder, event, patient=True)

    def has_room(self, files: int = 1) -> bool:
        """Whether :meth:`put` would take *files* more events. A part of the room is left to those who cannot wait."""
        try:
            free = os.statvfs(self.folder)
            # Some file systems (btrfs) have no fixed number of files, and say 0 of it.
            if (
                free.f_bavail * free.f_frsize < _LEAST_FREE_BYTES
                or 0 < free.f_files
                and free.f_favail < _LEAST_FREE_FILES
            ):
                return False
            with locked(self.folder) as there:
                return has_room(there, files, 0, patient=True)
        except OSError:
            return False

    def take_lost(self, tell: Callable[[int], None] | None = None) -> int:
        """How many events were lost since the last time. *tell* is called with that first, when there are any.

        What *tell* raises is raised, and nothing is forgotten then: put the event about it there, and no crash can
        come between.
        """
        with locked(self.folder) as there:
            lost = there.record.lost
        if not lost:
            return 0
        if tell is not None:
            tell(lost)
        with locked(self.folder) as there:
            there.lose(-lost)
            there.sync()
        return lost

    def _is_abandoned(self, name: str) -> bool:
        if not name.startswith((names.NEW, sequence.NEW)):
            return False
        try:
            # The clock may have been set back since.
            return abs(time.time() - os.lstat(self.folder / name).st_mtime) > _ABANDONED_S
        except FileNotFoundError:
            return False


def name_of_age(now_ns: int, age_s: float) -> str:
    """The name that an event has which was put *age_s* ago; older ones are before it."""
    return names.name_of(max(0, now_ns - int(age_s * 10**9)))


def _content(path: Path) -> bytes:
    """What is in the file at *path*, which nothing but a regular file of a bounded size can be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise MessageError("this is no event: it is no regular file")
        data = stream.read(MOST_BYTES + 2)
    if len(data) > MOST_BYTES + 1:
        raise MessageError(f"this is no event: it has more than {MOST_BYTES} bytes")
    return data
