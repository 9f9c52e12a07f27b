# SPDX-License-Identifier: BSD-2-Clause
"""Router advertisements that nobody asked for: to each tap now and then, and never to all of them at once."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

from nfdhcpd.guests.taps import Tap, Taps

# RFC 4861, 6.2.4 and 10
_INITIAL_INTERVAL_S = 16.0
_INITIAL_ADVERTISEMENTS = 3
_LEAST_INTERVAL_S = 3.0
# RFC 4861, 6.2.1: MinRtrAdvInterval as a part of MaxRtrAdvInterval.
_SHORTEST = 0.33

# Between two looks at what guests have sent.
_AT_ONCE = 16


class Schedule:
    """When each tap of *taps* gets its next advertisement, with at most *period* seconds between two.

    *send* sends one; what becomes of it changes nothing for other taps.
    """

    def __init__(
        self, taps: Taps, period: float, send: Callable[[Tap], None], chance: random.Random | None = None
    ) -> None:
        self._taps, self._send = taps, send
        self._chance = chance or random.Random()  # noqa: S311 - so that taps do not keep step, and no more
        self.period = period
        # By number of the interface: when, and how many follow soon. What is in the heap and not here is past.
        self._next: dict[int, tuple[float, int]] = {}
        self._heap: list[tuple[float, int]] = []

    def begin(self, tap: Tap, now: float) -> None:
        """*tap* is new, or tells something new: a few advertisements come soon (RFC 4861, 6.2.4)."""
        # Anywhere in that time: after a restart all taps are new.
        self._plan(tap.index, now + self._chance.uniform(0.0, self._longest_initial()), _INITIAL_ADVERTISEMENTS)

    def due_in(self, now: float) -> float | None:
        """Seconds until :meth:`work` has something to do; None when there is no tap."""
        return max(0.0, self._heap[0][0] - now) if self._heap else None

    def work(self, now: float) -> None:
        """Send what is due, some at a time."""
        for _ in range(_AT_ONCE):
            if not self._heap or self._heap[0][0] > now:
                return
            due, index = heapq.heappop(self._heap)
            at, soon = self._next.get(index, (0.0, 0))
            if at != due:
                continue
            tap = self._taps.by_index.get(index)
            if tap is None:
                del self._next[index]
                continue
            self._plan(index, now + self._interval(soon - 1), soon - 1)
            if tap.router is not None:
                self._send(tap)

    def _interval(self, soon: int) -> float:
        if soon > 0:
            longest = self._longest_initial()
            return self._chance.uniform(min(_LEAST_INTERVAL_S, longest), longest)
        return self._chance.uniform(_SHORTEST * self.period, self.period)

    def _longest_initial(self) -> float:
        """The first ones come no later than any other would (RFC 4861, 6.2.4)."""
        return min(_INITIAL_INTERVAL_S, self.period)

    def _plan(self, index: int, at: float, soon: int) -> None:
        self._next[index] = (at, soon)
        heapq.heappush(self._heap, (at, index))
