# SPDX-License-Identifier: BSD-2-Clause
"""The port by which the node hears of the run. It may be full, or nobody listens: neither holds the run up for long."""

from __future__ import annotations

import os
import select
import time

from snf_image_helper import lines
from snf_image_helper.lines import Line

_WAIT_S = 10.0
_PAUSE_S = 0.005
# Of the lines that the node listens to, some are for the end.
_WARNINGS = lines.LINES // 2


class Channel:
    """Tells lines on *fd*, which does not block. After a line that could not be told, none is: that run has failed."""

    def __init__(self, fd: int, wait_s: float = _WAIT_S) -> None:
        self._fd, self._wait_s = fd, wait_s
        self._warnings = 0
        self._works = True

    def tell(self, kind: str, task: str = "", text: str = "") -> None:
        """Tell a line, and wait until the other side has it. Too many warnings are told once to be so."""
        if kind == lines.WARNING:
            self._warnings += 1
            if self._warnings > _WARNINGS:
                return
            if self._warnings == _WARNINGS:
                text = "too many warnings: no more of them are told"
        if self._works:
            self._works = self._written(Line(kind, task, text).encode())

    def _written(self, data: bytes) -> bool:
        until = time.monotonic() + self._wait_s
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except (BlockingIOError, BrokenPipeError):
                # The port says EPIPE while the node's end is closed, see drivers/char/virtio_console.c.
                if time.monotonic() > until:
                    return False
                time.sleep(_PAUSE_S)
        return self._taken(until)

    def _taken(self, until: float) -> bool:
        """Whether the node has taken it all: the kernel calls the port writable only then."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(max(0.0, until - time.monotonic()) * 1000))
