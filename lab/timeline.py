# SPDX-License-Identifier: BSD-2-Clause
"""One line for each step and the seconds it took; a line now and then while a long one goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Say = Callable[[str], None]

_STILL_S = 15.0


def silent(_line: str) -> None:
    """For callers that want no timeline."""


class Timeline:
    """Tells *say* what is done and how long it took. Safe to use from several threads."""

    def __init__(self, say: Say = silent, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._start = clock()

    def note(self, text: str) -> None:
        self._say(f"         {text}")

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Name a step; its line comes when it is done, and nothing is said when it fails."""
        start, done = self._clock(), threading.Event()
        ticker = threading.Thread(target=self._still, args=(what, start, done), daemon=True)
        ticker.start()
        try:
            yield
        finally:
            done.set()
        self._say(f"{self._clock() - start:6.1f} s {what}")

    def total(self, what: str) -> None:
        self._say(f"{self._clock() - self._start:6.1f} s {what}, in all")

    def _still(self, what: str, start: float, done: threading.Event) -> None:
        while not done.wait(_STILL_S):
            self._say(f"         ... {what}: {self._clock() - start:.0f} s so far")
