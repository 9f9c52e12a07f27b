# SPDX-License-Identifier: BSD-2-Clause
"""The files with the content of volumes: how they are made, measured and removed. Sizes are in bytes.

A file is *raw* (what the volume holds, byte for byte) or *qcow2* (an overlay: what differs from the file below it).
Which of them is in its name, which nobody but this driver writes; it is never guessed from the content.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from archipelago.file import records
from archipelago.file.layout import Layout
from archipelago.file.locks import dropping, taken
from archipelago.file.records import Chain
from ganeti_cloud.errors import StorageError
from ganeti_cloud.process import run

_FICLONE = 0x40049409  # linux/fs.h
# What file systems answer that cannot share data between files, or not between these two.
_NO_REFLINKS = (errno.EOPNOTSUPP, errno.EXDEV, errno.ENOTTY, errno.EINVAL, errno.ENOSYS)
_PUNCH_HOLE, _KEEP_SIZE = 2, 1  # linux/falloc.h
_QEMU_IMG_S = 60.0
_COPY_S = 6 * 3600.0
_HINT = "see whether the shared folder answers, and `df` for it"


def format_of(file: str) -> str:
    """The format of *file*: raw or qcow2."""
    return file.rpartition(".")[2]


def size_of(path: str) -> int:
    """How large the disk in the file at *path* is."""
    if format_of(path) == "raw":
        return os.stat(path).st_size
    with open(path, "rb") as stream:
        header = stream.read(32)
    return int.from_bytes(header[24:32], "big")  # qcow2's specification, "Header"


@contextmanager
def drafted(layout: Layout, name: str, form: str) -> Iterator[str]:
    """A new file of data, for *name* and in the format *form*: within the block it is made, and a record refers to it.

    When the block fails nothing is left of it. When this process dies it is removed by :func:`collect`.
    """
    while True:
        entry = f"{name}.{os.urandom(4).hex()}.{form}"
        promise = layout.path("making", entry)
        os.close(os.open(promise, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        lock = taken(promise)
        if lock is not None:
            break
    try:
        yield f"{layout.pool}/{entry}"
    except BaseException:
        _unlink(layout.path("data", entry))
        raise
    finally:
        _unlink(promise)
        os.close(lock)


def make_blank(layout: Layout, file: str, size: int) -> None:
    """Make *file* zeros, which take no space."""
    with open(layout.data(file), "xb") as stream:
        os.truncate(stream.fileno(), size)
        os.fsync(stream.fileno())


def make_reflink(layout: Layout, file: str, source: str) -> bool:
    """Make *file* share all that the file *source* holds at this moment; False where the file system cannot.

    It is not durable yet.
    """
    with open(layout.data(source), "rb") as original, open(layout.data(file), "xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        except OSError as err:
            if err.errno not in _NO_REFLINKS:
                raise
            os.unlink(layout.data(file))
            return False
    return True


def make_overlay(layout: Layout, file: str, below: str, size: int) -> None:
    """Make *file* an overlay of *size* over the file *below*, which must not change any more."""
    path = layout.data(file)
    # -u: the file below may be open for writing in the daemon that is about to change to this one.
    options = ["-u", "-b", layout.beside(below), "-F", format_of(below)]
    run(["qemu-img", "create", "-q", "-f", "qcow2", *options, path, str(size)], timeout_s=_QEMU_IMG_S, hint=_HINT)
    make_durable(layout, file)


def make_durable(layout: Layout, file: str) -> None:
    """Have *file* on the disk, whoever wrote it.

    With ext4, XFS and Btrfs the entry of a new file is on the disk with it; over NFS every new entry is.
    """
    descriptor = os.open(layout.data(file), os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_copy(layout: Layout, file: str, source: str) -> None:
    """Make *file* a copy of the file *source*, with its holes."""
    argv = ["cp", "--reflink=never", "--sparse=always", "--", layout.data(source), layout.data(file)]
    run(argv, timeout_s=_COPY_S, hint=_HINT)


def punch_hole(descriptor: int, offset: int, length: int) -> None:
    """Make the *length* bytes at *offset* of a file zeros, which take no space where the file system can have it so."""
    import ctypes  # only who imports images needs it

    libc = ctypes.CDLL(None, use_errno=True)
    where = (ctypes.c_int64(offset), ctypes.c_int64(length))
    if libc.fallocate(descriptor, _PUNCH_HOLE | _KEEP_SIZE, *where) == 0:
        return
    if ctypes.get_errno() != errno.EOPNOTSUPP:
        raise OSError(ctypes.get_errno(), "fallocate")
    os.pwrite(descriptor, bytes(length), offset)


def make_larger(path: str, size: int) -> None:
    """Make the disk in the file at *path*, which nobody has open, *size* large."""
    if format_of(path) == "raw":
        os.truncate(path, size)
    else:
        run(["qemu-img", "resize", "-q", "-f", "qcow2", path, str(size)], timeout_s=_QEMU_IMG_S, hint=_HINT)


@contextmanager
def duplicate(layout: Layout, name: str, chain: Chain, size: int) -> Iterator[Chain]:
    """A chain for *name* with the content of *chain*, which is not written to, made *size* large if that is more.

    It shares the data: by reflink where the file system can, otherwise by an overlay. See :func:`drafted`.
    """
    with drafted(layout, name, format_of(chain[0])) as file:
        if make_reflink(layout, file, chain[0]):
            if size > size_of(layout.data(file)):
                make_larger(layout.data(file), size)
            make_durable(layout, file)
            yield (file, *chain[1:])
            return
    with drafted(layout, name, "qcow2") as file:
        make_overlay(layout, file, chain[0], size)
        yield (file, *chain)


def promise_removal(layout: Layout, files: Iterable[str]) -> None:
    """Have *files* of this pool removed by the next :func:`collect` that finds nothing to refer to them."""
    for file in files:
        pool, _, name = file.partition("/")
        descriptor = os.open(Layout(layout.folder, pool).path("making", name), os.O_WRONLY | os.O_CREAT, 0o600)
        os.close(descriptor)


def collect(layout: Layout) -> None:
    """Remove the data that nothing refers to: what :func:`promise_removal` named, and what dead makers left."""
    for pool in layout.pools():
        locked = {name: lock for name in os.listdir(pool.path("making")) if (lock := taken(pool.path("making", name)))}
        try:
            if locked:
                with dropping(pool):
                    _collect(pool, set(locked))
        except StorageError:
            pass  # somebody builds on data of this pool all the time: the next one collects
        finally:
            for lock in locked.values():
                os.close(lock)


def _collect(pool: Layout, candidates: set[str]) -> None:
    needed = {file for _, _, record in records.everything(pool) for file in record.files()}
    for name in candidates:
        if f"{pool.pool}/{name}" not in needed:
            _unlink(pool.path("data", name))
        _unlink(pool.path("making", name))


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
