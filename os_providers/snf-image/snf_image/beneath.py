# SPDX-License-Identifier: BSD-2-Clause
"""Files of a folder, opened so that the kernel itself sees that nothing leads out of it. See openat2(2)."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganeti_cloud.errors import RequestError

_OPENAT2 = 437  # the same on every architecture, as of Linux 5.6
_RESOLVE_NO_XDEV = 0x01
_RESOLVE_NO_MAGICLINKS = 0x02
_RESOLVE_BENEATH = 0x08


class _OpenHow(ctypes.Structure):
    """struct open_how."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@contextmanager
def opened(folder: Path, name: str) -> Iterator[Path]:
    """The regular file *name* within *folder*, under a path that means this very file as long as the block lasts.

    Raises RequestError when there is none, or links lead out of the folder or to another file system.
    """
    try:
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as err:
        raise RequestError(f"{folder}: {err.strerror}", hint="make the folder of images, [images] folder") from err
    try:
        descriptor = _openat2(root, name)
    except OSError as err:
        raise RequestError(
            f"image {name!r} cannot be opened in {folder} ({err.strerror})",
            hint=f"see `ls -l {folder}`: it has to be a file there, and no link may lead out of the folder",
        ) from err
    finally:
        os.close(root)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RequestError(f"image {name!r} in {folder} is not a file", hint="name the file of an image")
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _openat2(folder: int, name: str) -> int:
    resolve = _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_XDEV
    # Not blocking: a pipe would otherwise wait for a writer.
    how = _OpenHow(os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0, resolve)
    libc = ctypes.CDLL(None, use_errno=True)
    path = ctypes.c_char_p(os.fsencode(name))
    descriptor = libc.syscall(_OPENAT2, folder, path, ctypes.byref(how), ctypes.sizeof(how))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(descriptor)
