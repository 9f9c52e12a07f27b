# SPDX-License-Identifier: BSD-2-Clause
"""What changes in a folder, by inotify(7), without waiting for it.

pyinotify opens and watches. It does not read: its own reader takes a queue of any length in one go, and throws all of
it away for one name that is not UTF-8.
"""

from __future__ import annotations

import os
import struct
import warnings
from typing import NamedTuple

from ganeti_cloud.errors import CloudError

with warnings.catch_warnings():
    # It imports asyncore, for a class that is not used here. Debian 13's package depends on python3-pyasyncore instead.
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyinotify

# It puts a handler of its own on stderr; what goes wrong is raised here.
pyinotify.log.handlers.clear()
pyinotify.log.setLevel("CRITICAL")

# IN_ATTRIB: a file that could not be read, and may be now.
_NAMED = (
    pyinotify.IN_CLOSE_WRITE
    | pyinotify.IN_MOVED_TO
    | pyinotify.IN_MOVED_FROM
    | pyinotify.IN_DELETE
    | pyinotify.IN_ATTRIB
)
_OWN = pyinotify.IN_DELETE_SELF | pyinotify.IN_MOVE_SELF
_GONE = _OWN | pyinotify.IN_UNMOUNT | pyinotify.IN_IGNORED

# struct inotify_event without the name; whole events that fit are read at once, so this bounds the work of one call.
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 15


class WatchError(CloudError):
    """A folder cannot be watched."""


class Seen(NamedTuple):
    """What has happened in a folder since the last time."""

    names: list[str]
    """Of files that were written, came, went or got other permissions; some more than once."""
    lost: bool
    """There was more than the kernel keeps (fs.inotify.max_queued_events): anything may have changed."""
    gone: bool
    """The folder itself was removed, moved or unmounted: there will be no more news of it."""


class Watch:
    """A watch on *folder*. Its file descriptor stays the same also when another folder of that name is watched.

    Raises WatchError when there is no such folder, or when the node has no watch left.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        try:
            self._manager = pyinotify.WatchManager()
        except (OSError, pyinotify.PyinotifyError) as err:
            raise WatchError(f"{folder}: {err}", hint="raise fs.inotify.max_user_instances with sysctl(8)") from err
        os.set_blocking(self._manager.get_fd(), False)
        os.set_inheritable(self._manager.get_fd(), False)
        self._watch = -1
        try:
            self.again()
        except WatchError:
            self.close()
            raise

    def fileno(self) -> int:
        """For a selector: readable when something has happened."""
        return self._manager.get_fd()

    def again(self) -> None:
        """Watch what has the name of the folder now. Raises WatchError; this may be called again, then."""
        self._forget()
        try:
            watches = self._manager.add_watch(self._folder, _NAMED | _OWN | pyinotify.IN_ONLYDIR, quiet=False)
        except pyinotify.WatchManagerError as err:
            reason = str(err).rpartition("Errno=")[2]  # what is before it is not for people
            raise WatchError(f"{self._folder} cannot be watched: {reason}", hint=_HINT) from err
        (self._watch,) = watches.values()

    def read(self) -> Seen:
        """What has happened; when that was much, a part of it, and the file descriptor stays readable."""
        names: list[str] = []
        lost = gone = False
        for watch, mask, name in _events(self._data()):
            if mask & pyinotify.IN_Q_OVERFLOW:
                lost = True
            elif watch != self._watch:
                continue  # of a folder that had the name before
            elif mask & _GONE:
                gone = True
            else:
                names.append(name)
        if gone:
            self._forget()
        return Seen(names, lost, gone)

    def close(self) -> None:
        """Give the file descriptor back."""
        self._manager.close()

    def _data(self) -> bytes:
        try:
            return os.read(self.fileno(), _READ_BYTES)
        except BlockingIOError:
            return b""

    def _forget(self) -> None:
        # A folder that was only moved would be watched for ever. Of one that is gone the kernel knows nothing any more.
        if self._watch >= 0:
            self._manager.rm_watch(self._watch, quiet=True)
            self._watch = -1


_HINT = "make it a folder that can be read, or raise fs.inotify.max_user_watches with sysctl(8)"


def _events(data: bytes) -> list[tuple[int, int, str]]:
    """Watch, mask and name of each event in *data*."""
    events = []
    offset = 0
    while offset < len(data):
        watch, mask, _, size = _EVENT.unpack_from(data, offset)
        offset += _EVENT.size + size
        events.append((watch, mask, os.fsdecode(data[offset - size : offset].rstrip(b"\0"))))
    return events
