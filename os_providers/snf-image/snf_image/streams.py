# SPDX-License-Identifier: BSD-2-Clause
"""Whole disks as streams of bytes, for ``gnt-backup export`` and ``import``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ganeti_cloud.errors import CloudError, RequestError
from ganeti_cloud.imagefile import temporary
from snf_image import serving
from snf_image.request import Disk

_PIECE = 4 << 20
_SPACE = "see `dmesg`, and run the job again"


class Device(Protocol):
    """A disk that is read or written from its beginning on."""

    size: int

    def read(self, offset: int, length: int) -> bytes:
        """What is there: all of *length*. Raises OSError."""

    def write(self, offset: int, data: bytes) -> None:
        """Put *data* there. Raises OSError."""

    def flush(self) -> None:
        """Have what was written durable. Raises OSError."""


class _Path:
    """A block device or file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.lseek(descriptor, 0, os.SEEK_END)

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        if len(data) != length:
            raise OSError(0, f"it ends at {offset + len(data)}")
        # What is read once is not to take the place of what the node still needs.
        os.posix_fadvise(self._descriptor, offset, length, os.POSIX_FADV_DONTNEED)
        return data

    def write(self, offset: int, data: bytes) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._descriptor, data[done:], offset + done)

    def flush(self) -> None:
        os.fsync(self._descriptor)


class _Nbd:
    """What an NBD server at the socket *path* shows."""

    def __init__(self, path: str) -> None:
        import nbd  # only disks without a path need it

        self._error = nbd.Error
        self._handle = nbd.NBD()
        self._handle.connect_unix(path)
        self.size = self._handle.get_size()

    def read(self, offset: int, length: int) -> bytes:
        try:
            return bytes(self._handle.pread(length, offset))
        except self._error as err:
            raise OSError(0, str(err)) from err

    def write(self, offset: int, data: bytes) -> None:
        try:
            self._handle.pwrite(data, offset)
        except self._error as err:
            raise OSError(0, str(err)) from err

    def flush(self) -> None:
        try:
            self._handle.flush()
        except self._error as err:
            raise OSError(0, str(err)) from err


@contextmanager
def opened(disk: Disk, *, writable: bool) -> Iterator[Device]:
    """*disk* within the block. Raises RequestError, and CommandError when a server for its URI cannot be had."""
    if not disk.path:
        with temporary.folder() as folder, serving.uri(disk.uri, "default", folder / "disk") as socket:
            yield _Nbd(socket)
        return
    try:
        descriptor = os.open(disk.path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as err:
        raise RequestError(f"{disk.path}: {err.strerror}", hint="see `gnt-instance activate-disks`") from err
    try:
        yield _Path(descriptor)
    finally:
        os.close(descriptor)


def export(disk: Disk, out: int, on_size: Callable[[int], None]) -> None:
    """Write all of *disk* to the descriptor *out*, and tell its size before. Raises CloudError."""
    with opened(disk, writable=False) as device:
        try:
            on_size(device.size)
            for offset in range(0, device.size, _PIECE):
                _write_all(out, device.read(offset, min(_PIECE, device.size - offset)))
        except OSError as err:
            raise CloudError(f"the export of {_shown(disk)} failed: {err.strerror or err}", hint=_SPACE) from err


def bring_in(disk: Disk, source: int) -> None:
    """Make *disk* begin with all that comes from the descriptor *source*. Raises CloudError."""
    with opened(disk, writable=True) as device:
        offset = 0
        try:
            while piece := _read_piece(source):
                if offset + len(piece) > device.size:
                    raise RequestError(
                        f"what is imported is larger than {_shown(disk)}, which has {device.size} bytes",
                        hint="import into a disk as large as the exported one: gnt-backup import --disk 0:size=...",
                    )
                device.write(offset, piece)
                offset += len(piece)
            device.flush()
        except OSError as err:
            raise CloudError(f"the import into {_shown(disk)} failed: {err.strerror or err}", hint=_SPACE) from err


def _read_piece(source: int) -> bytes:
    """Up to a whole piece of what comes; nothing at the end."""
    parts: list[bytes] = []
    missing = _PIECE
    while missing and (part := os.read(source, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _write_all(out: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(out, view) :]


def _shown(disk: Disk) -> str:
    return disk.path or disk.uri.partition(":id=")[0]
