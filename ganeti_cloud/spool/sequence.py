# SPDX-License-Identifier: BSD-2-Clause
"""The file .sequence of a spool: the lock, and the record that is read and written under it.

It is written in place, within a block that it has from its beginning on: also where the disk is full.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from binascii import crc32
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganeti_cloud.spool import names
from ganeti_cloud.spool.bounds import Record

FILE = ".sequence"
# The file, while it is made.
NEW = f"{FILE}-"
# Nobody has the lock longer than a rename takes, unless it is stopped there.
LOCK_S = 2.0
_STEPS_S = (0.0005, 0.001, 0.002, 0.005)
_SIZE = 256
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Sequence:
    """The record of one folder, under the lock. What is set as :attr:`record` is kept by :meth:`keep`."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder, self._descriptor = folder, descriptor
        self.record = self._read()

    def keep(self, record: Record) -> None:
        """Have *record* be what the next one reads, in this boot of the machine. Raises OSError."""
        if os.pwrite(self._descriptor, encode(record), 0) != _SIZE:
            raise OSError(f"{self._folder / FILE} was not written as a whole")
        self.record = record

    def next_number(self, size: int) -> int:
        """A number above all others for a file of *size* bytes, given away with that."""
        number = max(self.record.last + 1, time.time_ns())
        if number > names.HIGHEST:
            raise OSError(f"{self._folder} has no numbers left; remove its file {FILE} when the folder is empty")
        record = self.record
        self.keep(record._replace(last=number, files=record.files + 1, size=record.size + size))
        return number

    def count(self) -> None:
        """Look at what is in the folder now."""
        content = names.look(self._folder)
        last = max(self.record.last, content.highest)
        self.keep(self.record._replace(last=last, files=content.files, size=content.size, counted_ns=now_ns()))

    def lose(self, events: int) -> None:
        """Count *events* as lost."""
        self.keep(self.record._replace(lost=self.record.lost + events))

    def sync(self) -> None:
        """Have the record be there after a power cut as well."""
        os.fdatasync(self._descriptor)

    def _read(self) -> Record:
        boot = _boot()
        data = os.pread(self._descriptor, _SIZE + 1, 0)
        # Nobody knows how many were counted in a record that cannot be read: that is told as one.
        record = decode(data) or Record("", 0, 1, 0, 0, 0)
        if boot and record.boot == boot:
            return record
        # The page of the last number may not have reached the disk before the power went.
        content = names.look(self._folder)
        last = max(record.last, content.highest)
        return Record(boot, last, record.lost, content.files, content.size, now_ns())


@contextmanager
def locked(folder: Path, wait_s: float | None = None) -> Iterator[Sequence]:
    """The record of *folder* under its lock, waited for *wait_s* seconds at the most. Raises OSError."""
    descriptor = _lock(folder, time.monotonic() + (LOCK_S if wait_s is None else wait_s))
    try:
        yield Sequence(folder, descriptor)
    finally:
        os.close(descriptor)  # which unlocks


def now_ns() -> int:
    """The clock that goes on, and is never set, from one start of the machine to the next."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def encode(record: Record) -> bytes:
    """The text of *record*, with a sum, always of the same length."""
    text = " ".join(str(value) for value in ("1", *record)).encode("ascii")
    return b"%s %08x" % (text, crc32(text)) + b" " * (_SIZE - 10 - len(text)) + b"\n"


def decode(data: bytes) -> Record | None:
    """The record with the text *data*; None when it is none."""
    text, _, checksum = data.rstrip().rpartition(b" ")
    if len(data) != _SIZE or checksum != b"%08x" % crc32(text):
        return None
    version, boot, *numbers = text.decode("ascii", "replace").split(" ")
    if version != "1" or len(numbers) != 5 or not all(number.isdecimal() for number in numbers):
        return None
    last, lost, files, size, counted_ns = map(int, numbers)
    return Record(boot, last, lost, files, size, counted_ns)


def _boot() -> str:
    """Which start of the machine this is; empty where that cannot be known."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _lock(folder: Path, end: float) -> int:
    """A descriptor of the file that has the name now, locked."""
    while True:
        descriptor = _open(folder)
        try:
            _wait(descriptor, folder, end)
            if _is_in_place(descriptor, folder):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if time.monotonic() > end:
            raise TimeoutError(f"{folder / FILE} is replaced again and again")


def _wait(descriptor: int, folder: Path, end: float) -> None:
    turn = 0
    while True:
        try:
            # Waiting in the kernel has no limit, and a signal for one would be the whole process's.
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise TimeoutError(f"{folder / FILE} is locked by another process for too long") from None
        time.sleep(_STEPS_S[min(turn, len(_STEPS_S) - 1)])
        turn += 1


def _is_in_place(descriptor: int, folder: Path) -> bool:
    """Whether nobody has removed the file while it was waited for."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(folder / FILE))
    except FileNotFoundError:
        return False


def _open(folder: Path) -> int:
    path = folder / FILE
    # The folder is not root's, but root writes to it: what a foreign hand can put there must not lead elsewhere.
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    while True:
        try:
            descriptor = os.open(path, flags)
        except FileNotFoundError:
            _create(folder)
            continue
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        raise OSError(f"{path} is no regular file; remove it")


def _create(folder: Path) -> None:
    """Put the file there, whole and with its rights from its first moment on, unless another does it first."""
    path = folder / names.temporary(NEW)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Writers are root; the reader, and writer as well, is the user who owns the folder.
        os.fchmod(descriptor, 0o660)
        os.pwrite(descriptor, encode(Record("", 0, 0, 0, 0, 0)), 0)
        os.fsync(descriptor)
        os.link(path, folder / FILE)
    except FileExistsError:
        pass
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
