# SPDX-License-Identifier: BSD-2-Clause
"""The few system calls that Python 3.11's ``os`` lacks. Each raises OSError like its neighbours there."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# include/uapi/linux/mount.h
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: Path | str, target: Path | str, fstype: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2)."""
    arguments = [os.fsencode(source), os.fsencode(target), fstype.encode() or None]
    _checked(_libc.mount(*arguments, ctypes.c_ulong(flags), options.encode() or None), str(target))


def bind(source: Path | str, target: Path | str, *, read_only: bool = False) -> None:
    """Show *source* at *target* as well."""
    mount(source, target, flags=MS_BIND)
    if read_only:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def unmount(target: Path | str) -> None:
    """Take *target* out of the tree at once; it ends for good when its last user is gone."""
    _checked(_libc.umount2(os.fsencode(target), MNT_DETACH), str(target))


def enter_root(root: Path) -> None:
    """Make the mount point *root* the root of this mount namespace and drop the old tree."""
    os.chdir(root)
    _checked(_libc.pivot_root(b".", b"."), str(root))  # pivot_root(2): "." twice stacks the old root on the new one
    unmount(".")
    os.chdir("/")
