# SPDX-License-Identifier: BSD-2-Clause
"""What Python's own library does not ask of the kernel: mounts, modules, partitions, the end."""

from __future__ import annotations

import ctypes
import fcntl
import os

# <sys/mount.h>
RDONLY, NOSUID, NODEV, NOEXEC = 1, 2, 4, 8
UNTRUSTED = NOSUID | NODEV | NOEXEC
UMOUNT_NOFOLLOW = 8

# <linux/blkpg.h>
_BLKPG = 0x1269
_ADD, _RESIZE = 1, 3

# <asm/unistd_64.h>: glibc has no function for it
_FINIT_MODULE = 313

# <linux/reboot.h>
_POWER_OFF = 0x4321FEDC

_libc = ctypes.CDLL(None, use_errno=True)


class _Partition(ctypes.Structure):
    _fields_ = (
        ("start", ctypes.c_longlong),
        ("length", ctypes.c_longlong),
        ("number", ctypes.c_int),
        ("names", ctypes.c_char * 128),
    )


class _PartitionRequest(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_int),
        ("flags", ctypes.c_int),
        ("length", ctypes.c_int),
        ("data", ctypes.c_void_p),
    )


def mount(source: str, target: str, filesystem: str, flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError."""
    _checked(_libc.mount(*map(os.fsencode, (source, target, filesystem)), ctypes.c_ulong(flags), os.fsencode(options)))


def unmount(target: str) -> None:
    """umount2(2); *target* is no symbolic link. Raises OSError."""
    _checked(_libc.umount2(os.fsencode(target), UMOUNT_NOFOLLOW))


def sync(folder: str) -> None:
    """syncfs(2): have the file system at *folder* write all it holds. Raises OSError, also for what failed before."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _checked(_libc.syncfs(ctypes.c_int(fd)))
    finally:
        os.close(fd)


def load_module(path: str) -> None:
    """finit_module(2). That it is there already is as good. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(_libc.syscall(ctypes.c_long(_FINIT_MODULE), ctypes.c_int(fd), b"", ctypes.c_int(0)))
    except FileExistsError:
        pass
    finally:
        os.close(fd)


def add_partition(disk: str, number: int, start: int, size: int) -> None:
    """Tell the kernel of a new partition; *start* and *size* are in bytes. Raises OSError."""
    _partition(disk, _ADD, number, start, size)


def resize_partition(disk: str, number: int, start: int, size: int) -> None:
    """Tell the kernel the new size of a partition, which may be in use. Raises OSError."""
    _partition(disk, _RESIZE, number, start, size)


def _partition(disk: str, op: int, number: int, start: int, size: int) -> None:
    partition = _Partition(start, size, number, b"")
    request = _PartitionRequest(op, 0, ctypes.sizeof(partition), ctypes.addressof(partition))
    fd = os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, _BLKPG, bytes(request))
    finally:
        os.close(fd)


def power_off() -> None:
    """reboot(2); only what was synced survives."""
    _libc.reboot(ctypes.c_int(ctypes.c_int32(_POWER_OFF).value))


def _checked(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
