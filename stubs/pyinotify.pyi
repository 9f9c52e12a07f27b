# SPDX-License-Identifier: BSD-2-Clause
# What this project uses of pyinotify 0.9.6 (Debian's python3-pyinotify), which ships no types.
import logging

IN_ATTRIB: int
IN_CLOSE_WRITE: int
IN_DELETE: int
IN_DELETE_SELF: int
IN_IGNORED: int
IN_MOVED_FROM: int
IN_MOVED_TO: int
IN_MOVE_SELF: int
IN_ONLYDIR: int
IN_Q_OVERFLOW: int
IN_UNMOUNT: int

log: logging.Logger

class PyinotifyError(Exception): ...
class WatchManagerError(Exception): ...

class WatchManager:
    def add_watch(self, path: str, mask: int, *, quiet: bool = ...) -> dict[str, int]: ...
    def rm_watch(self, wd: int, *, quiet: bool = ...) -> dict[int, bool]: ...
    def get_fd(self) -> int: ...
    def close(self) -> None: ...
