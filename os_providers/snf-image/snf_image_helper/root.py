# SPDX-License-Identifier: BSD-2-Clause
"""The tree of the guest, as a hostile place: no path leads out of it, nothing but plain files is read or written.

Symbolic links are followed as the guest itself would follow them, with the tree as "/".
"""

from __future__ import annotations


class Root:
    """The guest's file systems, mounted at *path*.

    Paths are those of the guest, with or without a "/" in front. What is a device, a pipe or a socket is refused with
    an OSError, as is a loop of links.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def exists(self, path: str) -> bool:
        """Whether there is anything at *path*, links followed."""
        raise NotImplementedError

    def is_folder(self, path: str) -> bool:
        """Whether *path* is a folder, links followed."""
        raise NotImplementedError

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """What is in the file. Raises FileNotFoundError, and OSError when it is no file or larger than *limit*."""
        raise NotImplementedError

    def read_text(self, path: str) -> str:
        """Like :meth:`read`, as UTF-8; other bytes survive a :meth:`write_text` (surrogateescape)."""
        raise NotImplementedError

    def write(
        self, path: str, data: bytes, *, mode: int | None = None, owner: int | None = None, group: int | None = None
    ) -> None:
        """Put a file with *data* there in one step. Mode, owner and group are kept from what was there, unless given;
        a new file has 0644 and belongs to root. The folder must exist."""
        raise NotImplementedError

    def write_text(
        self, path: str, text: str, *, mode: int | None = None, owner: int | None = None, group: int | None = None
    ) -> None:
        """Like :meth:`write`."""
        raise NotImplementedError

    def make_folders(self, path: str, *, mode: int = 0o755, owner: int = 0, group: int = 0) -> None:
        """Make the folder *path* and those above it that are missing."""
        raise NotImplementedError

    def remove(self, path: str) -> None:
        """Remove the file or link *path* itself; nothing there is no error."""
        raise NotImplementedError

    def link(self, target: str, path: str) -> None:
        """Make the symbolic link *path*; *target* is its text. What was there is replaced."""
        raise NotImplementedError

    def names(self, path: str) -> list[str]:
        """What is in the folder, sorted; nothing when there is none. At most 10,000 names are looked at."""
        raise NotImplementedError
