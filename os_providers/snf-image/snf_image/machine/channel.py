# SPDX-License-Identifier: BSD-2-Clause
"""What comes out of the machine, taken in pieces and within limits: a guest that got hold of it may say anything."""

from __future__ import annotations

from collections.abc import Callable

from snf_image_helper.lines import LINE_BYTES, LINES, Line, decode, printable

CONSOLE_BYTES = 1 << 20

_LINES_DROPPED = f"the helper machine says too much: after {LINES} lines nothing more is listened to"
_NO_LINES = "the helper machine says what is no line of ours: that is passed over"
_CONSOLE_DROPPED = "the helper machine's console is full: what it says from now on is dropped"


class Splitter:
    """Cuts a stream into lines without their ends; *on_line* gets None for one that is longer than *limit*."""

    def __init__(self, limit: int, on_line: Callable[[bytes | None], None]) -> None:
        self._limit, self._on_line = limit, on_line
        self._rest = b""
        self._skipping = False

    def feed(self, piece: bytes) -> None:
        """Take the next *piece*, which may end anywhere."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            if not self._skipping:
                self._on_line(line if len(line) <= self._limit else None)
            self._skipping = False
        if len(self._rest) > self._limit:
            if not self._skipping:
                self._on_line(None)
            self._rest, self._skipping = b"", True

    def end(self) -> None:
        """There is no more: the last line may be without an end."""
        if self._rest and not self._skipping:
            self._on_line(self._rest)
        self._rest = b""


class Port:
    """The lines of the helper; *on_line* gets the first :data:`LINES` of them. What else comes is told of once."""

    def __init__(self, on_line: Callable[[Line], None], warn: Callable[[str], None]) -> None:
        self._on_line, self._warn = on_line, warn
        self._splitter = Splitter(LINE_BYTES, self._take)
        self._heard = 0
        self._warned: set[str] = set()
        self.feed = self._splitter.feed

    def _take(self, raw: bytes | None) -> None:
        if self._heard >= LINES:
            self._warn_once(_LINES_DROPPED)
            return
        line = None if raw is None else decode(raw)
        if line is None:
            self._warn_once(_NO_LINES)
            return
        self._heard += 1
        self._on_line(line)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warn(text)


class Console:
    """The console's lines as printable text; *on_text* gets the first :data:`CONSOLE_BYTES` of them."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._splitter = Splitter(LINE_BYTES, self._take)
        self._left = CONSOLE_BYTES
        self.last = ""

    def feed(self, piece: bytes) -> None:
        """Take the next *piece*."""
        if self._left <= 0:
            return
        self._splitter.feed(piece[: self._left])
        self._left -= len(piece)
        if self._left <= 0:
            self._splitter.end()
            self._on_text(_CONSOLE_DROPPED)

    def end(self) -> None:
        """There is no more."""
        self._splitter.end()

    def _take(self, raw: bytes | None) -> None:
        text = "(a line that is too long)" if raw is None else printable(raw.decode(errors="replace"))
        if text:
            self.last = text
            self._on_text(text)
