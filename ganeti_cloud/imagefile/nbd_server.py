# SPDX-License-Identifier: BSD-2-Clause
"""Reading and writing disk images of any format as qemu-nbd shows them, see qemu-nbd(8) and libnbd(3).

qemu-nbd is confined, as what it reads was made by strangers; we talk to it over a socket in a folder of its own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbd

from ganeti_cloud.errors import CommandError
from ganeti_cloud.imagefile import temporary
from ganeti_cloud.imagefile.confined import FOLDER, confined
from ganeti_cloud.imagefile.qemu_img import Source, options, unreadable
from ganeti_cloud.process import Server, run, serving

_SOCKET = "socket"
_START_S = 20.0
_PAUSE_S = 0.01
_SERVE_S = 6 * 3600.0

_CONTEXT = "base:allocation"
# One question for what is in use; the answer may be shorter.
_STATUS = 1 << 30


_QEMU_NBD = ["qemu-nbd", "--persistent", f"--socket={FOLDER}/{_SOCKET}", "--image-opts"]


class NbdReader:
    """The disk in *source* and where it holds data. Raises RequestError when it turns out damaged."""

    def __init__(self, handle: nbd.NBD, source: Source) -> None:
        self._handle, self._source = handle, source
        self.size = handle.get_size()

    def extents(self) -> Iterator[tuple[int, int]]:
        at = 0
        while at < self.size:
            for length, flags in self._status(at):
                if not flags & nbd.STATE_ZERO:
                    yield at, min(length, self.size - at)
                at += length

    def _status(self, at: int) -> list[tuple[int, int]]:
        """Lengths and flags of what begins at *at*, some way on."""
        found: list[int] = []

        def note(_context: bytes, _offset: int, entries: list[int], _error: object) -> int:
            found.extend(entries)
            return 0

        try:
            self._handle.block_status(min(_STATUS, self.size - at), at, note)
        except nbd.Error as err:
            raise unreadable(self._source.shown, self._source.format, err) from err
        return list(zip(found[::2], found[1::2], strict=True))

    def read(self, offset: int, length: int) -> bytes:
        try:
            return bytes(self._handle.pread(length, offset))
        except nbd.Error as err:
            raise unreadable(self._source.shown, self._source.format, err) from err


@contextmanager
def opened(source: Source) -> Iterator[NbdReader]:
    """Read the disk in *source* within the block. Raises RequestError when it cannot be opened."""
    with temporary.folder() as folder:
        command = confined([*_QEMU_NBD, "--read-only", options(source.format)], file=source.path, folder=folder)
        try:
            with _served(command, folder) as handle:
                yield NbdReader(handle, source)
        except CommandError as err:
            raise unreadable(source.shown, source.format, err) from err


@contextmanager
def created(folder: Path, name: str, format_name: str, size: int) -> Iterator[nbd.NBD]:
    """Make the file *name* in *folder*, of our own, an image of *size*, and write its disk within the block.

    What was written is in the file when the block ends. Raises CommandError.
    """
    path = f"{FOLDER}/{name}"
    create = ["qemu-img", "create", "-q", "-f", format_name, path, str(size)]
    run(confined(create, folder=folder), timeout_s=_START_S, shown="qemu-img create")
    image = f"driver={format_name},file.driver=file,file.filename={path}"
    with _served(confined([*_QEMU_NBD, image], folder=folder), folder) as handle:
        yield handle
        handle.flush()


@contextmanager
def _served(command: list[str], folder: Path) -> Iterator[nbd.NBD]:
    with serving(command, timeout_s=_SERVE_S, shown="qemu-nbd") as server:
        yield _connected(server, str(folder / _SOCKET))


def _connected(server: Server, path: str) -> nbd.NBD:
    end = time.monotonic() + _START_S
    while True:
        handle = nbd.NBD()  # one that could not connect cannot try again
        handle.set_pread_initialize(False)  # what a read did not fill is an error, and looked at by nobody
        handle.add_meta_context(_CONTEXT)
        try:
            handle.connect_unix(path)
        except nbd.Error as err:
            server.check()
            if time.monotonic() > end:
                raise CommandError(f"qemu-nbd: {err}", status=None) from err
            time.sleep(_PAUSE_S)
        else:
            return handle
