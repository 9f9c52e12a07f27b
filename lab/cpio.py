# SPDX-License-Identifier: BSD-2-Clause
"""An initramfs archive from bytes: the same content gives the same archive."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the archive, or a folder when *content* is None."""

    path: str
    content: bytes | None = None
    mode: int = 0o644


def archive(entries: Iterable[Entry]) -> bytes:
    """A cpio archive in the format "newc" that the kernel unpacks (Documentation, buffer-format)."""
    parts = [_member(number, entry) for number, entry in enumerate(entries, start=1)]
    return b"".join([*parts, _member(0, Entry("TRAILER!!!", b"", 0))])


def _member(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    content = entry.content or b""
    if entry.content is None:
        mode = stat.S_IFDIR | 0o755
    elif number == 0:
        mode = 0
    else:
        mode = stat.S_IFREG | entry.mode
    # ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check
    fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + name) + _padded(content)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
