# SPDX-License-Identifier: BSD-2-Clause
"""The tree of the guest, as a hostile place: no path leads out of it, nothing but plain files is read or written.

Symbolic links are followed as the guest itself would follow them, with the tree as "/".
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from snf_image_helper.records import NamedTuple

# As the kernel counts them: path_resolution(7).
LINKS = 40
DEPTH = 200
NAMES = 10_000

_PATH = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK the opening of a pipe waits for its other end.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LABEL = "security.selinux"


class Place(NamedTuple):
    """Where a path leads: to *name* in the open *folder*; *found* is None when nothing is there."""

    folder: int
    name: str
    found: os.stat_result | None


class NewFolders(NamedTuple):
    """What missing folders are to be like."""

    mode: int
    owner: int
    group: int


class Root:
    """The guest's file systems, mounted at *path*.

    Paths are those of the guest, with or without a "/" in front. What is a device, a pipe or a socket is refused with
    an OSError, as is a loop of links. Every OSError names the path in the guest.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def exists(self, path: str) -> bool:
        """Whether there is anything at *path*, links followed."""
        return self.status(path) is not None

    def is_folder(self, path: str) -> bool:
        """Whether *path* is a folder, links followed."""
        found = self.status(path)
        return found is not None and stat.S_ISDIR(found.st_mode)

    def status(self, path: str) -> os.stat_result | None:
        """The kernel's record of what is at *path*, links followed; None when nothing is."""
        try:
            with self._place(path) as place:
                return place.found
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """What is in the file. Raises FileNotFoundError, and OSError when it is no file or larger than *limit*."""
        with self._place(path) as place:
            _plain(_there(place.found))
            with open(os.open(place.name, _READ, dir_fd=place.folder), "rb", buffering=0) as stream:
                data = bytearray()
                while len(data) <= limit and (more := stream.read(limit + 1 - len(data))):
                    data += more
            if len(data) > limit:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            return bytes(data)

    def read_text(self, path: str) -> str:
        """Like :meth:`read`, as UTF-8; other bytes survive a :meth:`write_text` (surrogateescape)."""
        return self.read(path).decode(errors="surrogateescape")

    def write(
        self, path: str, data: bytes, *, mode: int | None = None, owner: int | None = None, group: int | None = None
    ) -> None:
        """Put a file with *data* there in one step. Mode, owner and group are kept from what was there, unless given;
        a new file has 0644 and belongs to root. The folder must exist."""
        with self._place(path) as place:
            old = place.found
            if old is not None:
                _plain(old)
            kept = (0o644, 0, 0) if old is None else (old.st_mode & 0o7777, old.st_uid, old.st_gid)
            given = (mode, owner, group)
            mode, owner, group = (new if new is not None else kept[index] for index, new in enumerate(given))
            temporary = _temporary()
            descriptor = os.open(temporary, _NEW, 0o600, dir_fd=place.folder)
            try:
                with open(descriptor, "wb", buffering=0) as stream:
                    _write_all(stream.fileno(), data)
                    _keep_label(place, stream.fileno())
                    _belong(stream.fileno(), mode, owner, group)
                # No fsync: what counts is that all is on the disk when the file systems are unmounted.
                os.replace(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            except BaseException:
                os.unlink(temporary, dir_fd=place.folder)
                raise

    def write_text(
        self, path: str, text: str, *, mode: int | None = None, owner: int | None = None, group: int | None = None
    ) -> None:
        """Like :meth:`write`."""
        self.write(path, text.encode(errors="surrogateescape"), mode=mode, owner=owner, group=group)

    def make_folders(self, path: str, *, mode: int = 0o755, owner: int = 0, group: int = 0) -> None:
        """Make the folder *path* and those above it that are missing."""
        with self._place(path, make=NewFolders(mode, owner, group)) as place:
            if place.found is None:
                os.close(_make_folder(place.folder, place.name, NewFolders(mode, owner, group)))
            elif not stat.S_ISDIR(place.found.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))

    def belong(self, path: str, *, mode: int, owner: int, group: int) -> None:
        """Give the file or folder at *path*, links followed, this mode, owner and group."""
        with self._place(path) as place:
            if not stat.S_ISDIR(_there(place.found).st_mode):
                _plain(_there(place.found))
            descriptor = os.open(place.name, _READ, dir_fd=place.folder)
            try:
                _belong(descriptor, mode, owner, group)
            finally:
                os.close(descriptor)

    def open_folder(self, path: str) -> int:
        """A descriptor (O_PATH) of the folder, links followed. It is for the caller to close."""
        with self._place(path) as place:
            return os.open(place.name, _PATH, dir_fd=place.folder)

    def remove(self, path: str) -> None:
        """Remove the file or link *path* itself; nothing there is no error."""
        try:
            with self._place(path, follow=False) as place:
                if place.found is not None:
                    os.unlink(place.name, dir_fd=place.folder)
        except (FileNotFoundError, NotADirectoryError):
            return

    def rename(self, path: str, name: str) -> None:
        """Give the file or link *path* itself another *name* in its folder. What had that name is replaced."""
        with self._place(path, follow=False) as place:
            if "/" in name:
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            os.replace(place.name, name, src_dir_fd=place.folder, dst_dir_fd=place.folder)

    def link(self, target: str, path: str) -> None:
        """Make the symbolic link *path*; *target* is its text. What was there is replaced."""
        with self._place(path, follow=False) as place:
            temporary = _temporary()
            os.symlink(target, temporary, dir_fd=place.folder)
            try:
                os.replace(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            except BaseException:
                os.unlink(temporary, dir_fd=place.folder)
                raise

    def link_text(self, path: str) -> str | None:
        """What the symbolic link *path* itself says; None when there is none."""
        try:
            with self._place(path, follow=False) as place:
                if place.found is None or not stat.S_ISLNK(place.found.st_mode):
                    return None
                return os.readlink(place.name, dir_fd=place.folder)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, path: str) -> list[str]:
        """What is in the folder, sorted; nothing when there is none. Raises OSError for more than 10,000 names."""
        try:
            with self._place(path) as place:
                descriptor = os.open(place.name, _READ | os.O_DIRECTORY, dir_fd=place.folder)
                try:
                    with os.scandir(descriptor) as entries:
                        found = sorted(entry.name for entry in itertools.islice(entries, NAMES + 1))
                finally:
                    os.close(descriptor)
                if len(found) > NAMES:
                    raise OSError(errno.EFBIG, f"there are more than {NAMES} names in the folder")
                return found
        except (FileNotFoundError, NotADirectoryError):
            return []

    @contextmanager
    def _place(self, path: str, *, follow: bool = True, make: NewFolders | None = None) -> Iterator[Place]:
        """Where *path* leads; a link at its end is followed or not. With *make*, missing folders above are made."""
        folders: list[int] = []
        try:
            folders.append(os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            yield _walked(folders, _parts(path), follow, make)
        except OSError as err:
            raise OSError(err.errno, err.strerror, path) from err
        finally:
            for descriptor in folders:
                os.close(descriptor)


def _walked(folders: list[int], left: list[str], follow: bool, make: NewFolders | None) -> Place:
    """Go down the names in *left*, the next one last. *folders* are the open ones on the way, the tree itself first."""
    links = 0
    while left:
        name = left.pop()
        if name == "..":
            _leave(folders, max(1, len(folders) - 1))
            continue
        found = _status(folders[-1], name)
        if found is not None and stat.S_ISLNK(found.st_mode) and (left or follow):
            links += 1
            if links > LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = os.readlink(name, dir_fd=folders[-1])
            if target.startswith("/"):
                _leave(folders, 1)
            left += _parts(target)
        elif not left:
            return Place(folders[-1], name, found)
        elif len(folders) == DEPTH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        elif found is None and make is not None:
            folders.append(_make_folder(folders[-1], name, make))
        else:
            folders.append(os.open(name, _PATH, dir_fd=folders[-1]))
    return Place(folders[-1], ".", _status(folders[-1], "."))


def _parts(path: str) -> list[str]:
    """The names in *path*, the first one last."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError as err:
        raise OSError(errno.EILSEQ, os.strerror(errno.EILSEQ)) from err
    if "\0" in path:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _leave(folders: list[int], depth: int) -> None:
    while len(folders) > depth:
        os.close(folders.pop())


def _status(folder: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _there(found: os.stat_result | None) -> os.stat_result:
    if found is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return found


def _plain(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EPERM, "it is a device, a pipe or a socket and no plain file")


def _temporary() -> str:
    return f".{os.urandom(8).hex()}.tmp"


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _make_folder(folder: int, name: str, new: NewFolders) -> int:
    os.mkdir(name, 0o700, dir_fd=folder)
    descriptor = os.open(name, _READ | os.O_DIRECTORY, dir_fd=folder)
    try:
        _belong(descriptor, new.mode, new.owner, new.group)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _belong(descriptor: int, mode: int, owner: int, group: int) -> None:
    """Only what differs is asked for: vfat and NTFS refuse owners, but have nothing to change then."""
    found = os.fstat(descriptor)
    if (found.st_uid, found.st_gid) != (owner, group):
        os.fchown(descriptor, owner, group)
    # After the owner: chown(2) takes the set-user-ID bits away.
    if os.fstat(descriptor).st_mode & 0o7777 != mode:
        os.fchmod(descriptor, mode)


def _keep_label(place: Place, new: int) -> None:
    """SELinux would refuse its daemons a file without the label that it had."""
    if place.found is None:
        return
    old = os.open(place.name, _READ, dir_fd=place.folder)
    try:
        os.setxattr(new, _LABEL, os.getxattr(old, _LABEL))
    except OSError as err:
        if err.errno not in (errno.ENODATA, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(old)
