# SPDX-License-Identifier: BSD-2-Clause
"""Locks in the shared folder: each belongs to a process, and the file system frees it when that process or its node
dies (with NFS 4, the server does, when the node's lease has run out)."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from archipelago.file.layout import Layout
from ganeti_cloud.errors import StorageError

# Longer than anything short that is done under a lock. A dead NFS client's lease of 90 s is not waited for: the next
# run of the verb may.
_PATIENCE_S = 30.0

# Some locks for all names: a lock file cannot be removed safely, so there are not more than these.
_NAMES = 64


@contextmanager
def named(layout: Layout, *names: str) -> Iterator[None]:
    """Nobody else changes the records of *names* within the block. Raises StorageError when that cannot be had."""
    with ExitStack() as held:
        for number in sorted({sum(name.encode()) % _NAMES for name in names}):
            held.enter_context(waited(layout, str(number), names[0]))
        yield


@contextmanager
def referring(layout: Layout) -> Iterator[None]:
    """Within the block no data of this pool is removed: what a record names can be built upon."""
    with waited(layout, "references", "its data", shared=True):
        yield


@contextmanager
def dropping(layout: Layout) -> Iterator[None]:
    """Within the block no new record refers to data of this pool."""
    with waited(layout, "references", "its data"):
        yield


@contextmanager
def waited(
    layout: Layout, lock: str, what: str, *, shared: bool = False, patience_s: float = _PATIENCE_S
) -> Iterator[None]:
    """Hold *lock* within the block, which is about *what*. Raises StorageError when that cannot be had in time."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    path = layout.path("locks", lock)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        end = time.monotonic() + patience_s
        while not _try(descriptor, kind):
            if time.monotonic() > end:
                raise StorageError(
                    f"another node has been busy with {what} in {layout.path()} for {patience_s:g} s",
                    hint="try again; after the crash of a node NFS needs up to two minutes to free its locks",
                )
            time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def taken(path: str) -> int | None:
    """A descriptor that holds the lock on *path*; None when another process has it, or the file is gone.

    The file is removed only by who holds its lock, so one that is gone after it was locked does not count.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if _try(descriptor, fcntl.LOCK_EX) and os.fstat(descriptor).st_nlink:
        return descriptor
    os.close(descriptor)
    return None


def is_held(path: str) -> bool:
    """Whether a living process holds the lock on *path*; False when there is no such file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _try(descriptor, fcntl.LOCK_EX)
    finally:
        os.close(descriptor)


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
