# SPDX-License-Identifier: BSD-2-Clause
"""Reading raw images. There is nothing in them that a reader could be led astray by, so that no program is needed:
through qemu-nbd each GiB would cost as much time again as its SHA-256 does.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ganeti_cloud.imagefile.qemu_img import Source, unreadable


class RawReader:
    """The file in *source*; see :class:`archipelago.contract.contents.Reader`. Its holes are those of the file."""

    def __init__(self, descriptor: int, source: Source) -> None:
        self._descriptor, self._source = descriptor, source
        self.size = source.size

    def extents(self) -> Iterator[tuple[int, int]]:
        at = 0
        while at < self.size:
            try:
                start = os.lseek(self._descriptor, at, os.SEEK_DATA)
            except OSError as err:
                if err.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return
                raise unreadable(self._source.shown, "raw", err) from err
            at = min(os.lseek(self._descriptor, start, os.SEEK_HOLE), self.size)
            yield start, at - start

    def read(self, offset: int, length: int) -> bytes:
        try:
            data = os.pread(self._descriptor, length, offset)
        except OSError as err:
            raise unreadable(self._source.shown, "raw", err) from err
        if len(data) != length:
            raise unreadable(self._source.shown, "raw", EOFError(f"it ends at {offset + len(data)}"))
        return data


@contextmanager
def opened(source: Source) -> Iterator[RawReader]:
    """Read the file in *source* within the block."""
    descriptor = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        yield RawReader(descriptor, source)
    finally:
        os.close(descriptor)
