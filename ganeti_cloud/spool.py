# SPDX-License-Identifier: BSD-2-Clause
"""Contract "spool": a folder with one file an event, to be published in the order of the names and then deleted.

What writes to the spool has something better to do than to wait for it: a :class:`Writer` takes each event at once and
puts it there from a thread. An event that does not get there is counted, and nothing else comes of it.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from pathlib import Path

from ganeti_cloud.files import replace_file
from ganeti_cloud.messages import Event

FOLDER = Path("/var/spool/ganeti-cloud")
SUFFIX = ".json"

# Nobody empties the spool when there are so many: more would only fill the disk.
MOST_FILES = 20_000
_QUEUE = 1000
# How long the end of a writer waits for what is still to be written.
_PATIENCE_S = 5.0


def file_name(event: Event) -> str:
    """What the file of *event* is called: the names of later events sort behind it."""
    return f"{event.time_ns:020}-{event.id}{SUFFIX}"


def put(folder: Path, event: Event) -> None:
    """Put *event* into *folder*, durable when this returns. Raises OSError."""
    replace_file(folder / file_name(event), event.encode() + "\n", mode=0o640)


class Writer:
    """Puts events into *folder* from a thread of its own; no call of it fails or waits, but for its end.

    *dropped* counts what did not get there.
    """

    def __init__(self, folder: Path = FOLDER, *, patience_s: float = _PATIENCE_S) -> None:
        self._folder = folder
        self._patience_s = patience_s
        self._waiting: queue.Queue[Event | None] = queue.Queue(_QUEUE)
        self.dropped = 0
        self._room = 0
        # A daemon: one that hangs in the kernel does not keep the process.
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, event: Event) -> None:
        """Have *event* written, soon."""
        try:
            self._waiting.put_nowait(event)
        except queue.Full:
            self.dropped += 1

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
        self._room = MOST_FILES - _count(self._folder)
        while (event := self._waiting.get()) is not None:
            if self._room <= 0:
                self.dropped += 1
                continue
            try:
                put(self._folder, event)
                self._room -= 1
            except (OSError, ValueError) as err:
                if not self.dropped:  # the first is told, the others are counted
                    sys.stderr.write(f"warning: an event cannot be put into {self._folder}: {err}\n")
                self.dropped += 1


def _count(folder: Path) -> int:
    """How many files are in *folder*, as far as that matters."""
    counted = 0
    try:
        with os.scandir(folder) as entries:
            for _ in entries:
                counted += 1
                if counted >= MOST_FILES:
                    break
    except OSError:
        pass  # writing to it will tell why
    return counted
