# SPDX-License-Identifier: BSD-2-Clause
"""Putting events into a spool beside something better to do: each is taken at once, and written from a thread."""

from __future__ import annotations

import queue
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from ganeti_cloud.messages import Event
from ganeti_cloud.spool.bounds import SpoolFull
from ganeti_cloud.spool.putting import FOLDER, lose, put

_QUEUE = 1000
# How long the end of a writer waits for what is still to be written.
_PATIENCE_S = 5.0


class Writer:
    """Puts events into *folder* from a thread of its own; no call of it fails or waits, but for its end.

    *dropped* counts what did not get there.
    """

    def __init__(self, folder: Path = FOLDER, *, patience_s: float = _PATIENCE_S) -> None:
        self._folder = folder
        self._patience_s = patience_s
        self._waiting: queue.Queue[Event | None] = queue.Queue(_QUEUE)
        self.dropped = 0
        self._overflowed = 0
        # A daemon: one that hangs in the kernel does not keep the process.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Have *event* written, soon."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.dropped += 1
            self._overflowed += 1

    def close(self) -> None:
        """Wait a little for what is still to be written, and count the rest as dropped."""
        end = time.monotonic() + self._patience_s
        try:
            self._waiting.put(None, timeout=self._patience_s)
        except queue.Full:
            pass
        self._thread.join(timeout=max(0.0, end - time.monotonic()))
        if self._thread.is_alive():
            # The one that is being written, and those behind it but the sign of the end.
            self.dropped += max(1, self._waiting.qsize())

    def _work(self) -> None:
        while (event := self._waiting.get()) is not None:
            try:
                put(self._folder, event)
            except (OSError, ValueError, SpoolFull) as err:
                if not self.dropped:  # the first is told, the others are counted
                    sys.stderr.write(f"warning: an event cannot be put into {self._folder}: {err}\n")
                self.dropped += 1
        if self._overflowed:
            with suppress(OSError):
                lose(self._folder, self._overflowed)
