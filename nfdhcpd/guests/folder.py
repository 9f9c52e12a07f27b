# SPDX-License-Identifier: BSD-2-Clause
"""The folder of bindings: what its files say, and what has changed in it."""

from __future__ import annotations

import errno
import os
import stat
from itertools import islice
from typing import NamedTuple

from ganeti_cloud import binding as bindings
from ganeti_cloud.binding import Binding, BindingError
from ganeti_cloud.errors import CloudError
from ganeti_cloud.inotify import Watch, WatchError
from ganeti_cloud.netvalues import is_interface_name

# How many files are read, or bindings told of again, before packets have their turn again: one takes as long as some
# ten answers.
_AT_ONCE = 8


class News(NamedTuple):
    """What has happened since the last time."""

    changed: list[str]
    """Taps whose binding is new, another one, or no more there, or that :meth:`Folder.again` was asked for."""
    problems: list[CloudError]
    """What cannot be read; each is told once."""


class Folder:
    """The files in *path*, each called like the tap that it is about. Nothing here waits.

    ``bindings`` has what they say. A file that cannot be read keeps what it said before, and so do all of them when the
    folder itself is gone. Raises WatchError when the folder cannot be watched at the start.
    """

    def __init__(self, path: str = bindings.FOLDER) -> None:
        self.bindings: dict[str, Binding] = {}
        self._path = path
        self._watch = Watch(path)
        self._is_watched = True
        # In the order in which they came; a name that comes again has not to be read twice.
        self._names: dict[str, None] = {}
        self._again: dict[str, None] = {}
        self._told: dict[str, str] = {}
        self._list()

    def fileno(self) -> int:
        """For a selector: readable when something has happened."""
        return self._watch.fileno()

    @property
    def is_busy(self) -> bool:
        """Whether there are more news, so that :meth:`news` should be called again soon."""
        return bool(self._names or self._again)

    def news(self) -> News:
        """What has changed, a part of it when it is much. To be called when the file descriptor is readable, while
        :attr:`is_busy`, and every few seconds, for a folder that has gone may come again."""
        problems: list[CloudError] = []
        try:
            self._look()
        except WatchError as err:
            self._tell("", err, problems)
        changed = [name for name in _some(self._names) if self._load(name, problems)]
        return News(changed + _some(self._again), problems)

    def again(self) -> None:
        """Tell of all bindings once more, some at a time, as if they had changed: something else has."""
        self._again.update(dict.fromkeys(self.bindings))

    def close(self) -> None:
        """Watch no more."""
        self._watch.close()

    def _look(self) -> None:
        """Note which files have to be read. Raises WatchError when the folder cannot be watched."""
        seen = self._watch.read()
        self._names.update(dict.fromkeys(filter(_is_tap, seen.names)))
        if seen.gone:
            self._is_watched = False
        if not self._is_watched:
            self._watch.again()
            self._is_watched = True
        elif not seen.lost:
            return
        self._list()

    def _list(self) -> None:
        """Note all files that are there, and all that have been, to be read."""
        try:
            names = os.listdir(self._path)
        except OSError as err:
            self._is_watched = False
            hint = "make it a folder that can be read; what was in it is served as it was"
            raise WatchError(f"{self._path}: {err.strerror}", hint=hint) from err
        self._told.pop("", None)
        self._names.update(dict.fromkeys([*self.bindings, *filter(None, self._told), *filter(_is_tap, names)]))

    def _load(self, tap: str, problems: list[CloudError]) -> bool:
        """Read the file of *tap*; returns whether its binding has changed."""
        before = self.bindings.get(tap)
        try:
            after = read(os.path.join(self._path, tap), tap)
        except BindingError as err:
            self._tell(tap, err, problems)
            return False
        self._told.pop(tap, None)
        if after is None:
            self.bindings.pop(tap, None)
        else:
            self.bindings[tap] = after
        return after != before

    def _tell(self, tap: str, err: CloudError, problems: list[CloudError]) -> None:
        if self._told.get(tap) != str(err):
            self._told[tap] = str(err)
            problems.append(err)


def _some(names: dict[str, None]) -> list[str]:
    """The first of *names*, which are taken out."""
    some = list(islice(names, _AT_ONCE))
    for name in some:
        del names[name]
    return some


def read(path: str, tap: str) -> Binding | None:
    """The binding in the file *path*, which is about *tap*; None when there is no such file. Raises BindingError."""
    try:
        # A pipe must not make the open wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as err:
        what = "is a symbolic link" if err.errno == errno.ELOOP else err.strerror
        raise BindingError(f"{path}: {what}") from err
    try:
        data = _content(descriptor)
    except (OSError, ValueError) as err:
        raise BindingError(f"{path}: {err}") from err
    finally:
        os.close(descriptor)
    return understood(data, tap)


def understood(data: bytes, tap: str) -> Binding:
    """The binding of *tap* that the content of a file says. Raises BindingError."""
    try:
        text = data.decode()
    except UnicodeDecodeError as err:
        line = data.count(b"\n", 0, err.start) + 1
        raise BindingError(f"binding {tap}, line {line}: is not UTF-8") from err
    return bindings.decode(text, tap)


def _content(descriptor: int) -> bytes:
    """All that is in an open file. Raises ValueError when it is too much, or when the file is no file."""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise ValueError("is no regular file")
    data = os.read(descriptor, bindings.MOST_BYTES + 1)
    if len(data) > bindings.MOST_BYTES:
        raise ValueError(f"is longer than {bindings.MOST_BYTES} bytes")
    return data


def _is_tap(name: str) -> bool:
    # Those who replace a file call the new one so until it is whole.
    return is_interface_name(name) and not name.endswith(".tmp")
