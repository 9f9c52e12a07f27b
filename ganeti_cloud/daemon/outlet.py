# SPDX-License-Identifier: BSD-2-Clause
"""Lines for the journal, which are formatted and written when there is nothing better to do, and never waited for."""

from __future__ import annotations

import logging
import os
import select
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

# What is kept for a journal that does not read; more is lost, and counted.
_KEPT = 4096
CROWDED = 1024
# A pipe that select() calls writable has room for as much (pipe(7)), and so has a socket.
_PIECE = 4096
# How soon to look again at a journal that was full.
_RETRY_S = 0.1

# sd-daemon(3)
_PRIORITIES = {logging.ERROR: "<3>", logging.WARNING: "<4>", logging.INFO: "<6>", logging.DEBUG: "<7>"}


class Line(NamedTuple):
    """One line, not yet formatted: *text* % *values*."""

    level: int
    text: str
    values: tuple[object, ...]


class Outlet:
    """Writes to the file *descriptor*. ``lost`` counts the lines that found no room."""

    def __init__(self, descriptor: int, *, prefixed: bool) -> None:
        self._descriptor, self._prefixed = descriptor, prefixed
        self._lines: deque[Line] = deque()
        self._begun = b""
        self._full = False
        self.lost = 0

    def put(self, level: int, text: str, *values: object) -> None:
        """Have a line written later."""
        if len(self._lines) >= _KEPT:
            self.lost += 1
            return
        self._lines.append(Line(level, text, values))

    @property
    def crowded(self) -> bool:
        """Whether it is time to write although there is something else to do."""
        return len(self._lines) >= CROWDED and not self._full

    def due_in(self) -> float | None:
        """Seconds until :meth:`flush` has something to do, None when it has nothing."""
        if not self._lines and not self._begun:
            return None
        return _RETRY_S if self._full else 0.0

    def flush(self, wait_s: float = 0.0) -> None:
        """Write what there is, as far as the reader takes it; *wait_s* is the most that it is waited for each time."""
        while self._begun or self._lines:
            if not self._begun:
                self._begun = self._next_piece()
            _, writable, _ = select.select((), (self._descriptor,), (), wait_s)
            self._full = not writable
            if self._full:
                return
            try:
                self._begun = self._begun[os.write(self._descriptor, self._begun) :]
            except BlockingIOError:
                self._full = True
                return
            except OSError:
                # Nobody reads any more: that is no reason to end.
                self._begun = b""
                self.lost += 1

    def _next_piece(self) -> bytes:
        pieces, size = [], 0
        while self._lines and size < _PIECE // 2:
            pieces.append(self._formatted(self._lines.popleft())[: _PIECE // 2 - 1] + b"\n")
            size += len(pieces[-1])
        return b"".join(pieces)

    def _formatted(self, line: Line) -> bytes:
        prefix = _PRIORITIES.get(line.level, "<6>") if self._prefixed else ""
        text = line.text % line.values
        return (prefix + " ".join(text.splitlines())).encode(errors="replace")


class Handler(logging.Handler):
    """Hands what is logged to an :class:`Outlet`; a traceback has a line for each of its own."""

    def __init__(self, outlet: Outlet) -> None:
        super().__init__()
        self._outlet = outlet

    def emit(self, record: logging.LogRecord) -> None:
        """Put the lines of *record*."""
        for line in self.format(record).splitlines():
            self._outlet.put(record.levelno, "%s", line)


def is_journal(descriptor: int, env: Mapping[str, str]) -> bool:
    """Whether *descriptor* leads to the journal (JOURNAL_STREAM in systemd.exec(5)), which knows of priorities."""
    status = os.fstat(descriptor)
    return env.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
