# SPDX-License-Identifier: BSD-2-Clause
"""Router advertisements that nobody asked for: often enough, and never all at once."""

from __future__ import annotations

import random
from collections import Counter

from nfdhcpd.guests.taps import Tap, Taps
from nfdhcpd.loop.periodic import Schedule
from tests.unit.nfdhcpd_daemon import binding, taps

PERIOD = 300.0


class Run:
    """A schedule, and when it sent to whom."""

    def __init__(self, served: Taps, period: float = PERIOD) -> None:
        self.now = 1000.0
        self.sent: list[tuple[float, str]] = []
        self.schedule = Schedule(served, period, self._send, random.Random(1))
        for tap in served.by_index.values():
            self.schedule.begin(tap, self.now)

    def _send(self, tap: Tap) -> None:
        self.sent.append((self.now, tap.name))

    def until(self, end: float) -> None:
        """Let the time pass, as the daemon does: it looks when something is due."""
        while (wait := self.schedule.due_in(self.now)) is not None and self.now + wait <= end:
            self.now += wait
            self.schedule.work(self.now)
        self.now = end

    def intervals(self, name: str) -> list[float]:
        times = [at for at, to in self.sent if to == name]
        return [later - earlier for earlier, later in zip(times, times[1:], strict=False)]


def test_a_tap_is_told_soon_at_first_and_then_now_and_then() -> None:
    run = Run(taps(binding()))
    run.until(1000 + 10 * PERIOD)
    assert run.sent[0][0] <= 1016
    intervals = run.intervals("tap0")
    assert all(3 <= interval <= 16 for interval in intervals[:2])
    assert all(0.33 * PERIOD <= interval <= PERIOD for interval in intervals[2:])
    assert len(set(intervals)) == len(intervals)


def test_the_first_ones_come_no_later_than_any_other() -> None:
    run = Run(taps(binding()), period=4.0)
    run.until(1100)
    assert run.sent[0][0] <= 1004
    assert max(run.intervals("tap0")) <= 4
    assert all(3 <= interval for interval in run.intervals("tap0")[:2])


def test_thousands_of_taps_are_spread_over_the_time() -> None:
    run = Run(taps(*(binding(number) for number in range(2000))))
    run.until(1000 + 4 * PERIOD)
    per_second = Counter(int(at) for at, _ in run.sent)
    # 2,000 in 16 s are 125 a second, where the first overlap the next ones twice that; in the long run they are 10.
    assert max(per_second.values()) < 350
    assert max(count for second, count in per_second.items() if second > 1000 + 2 * PERIOD) < 40
    assert {name for _, name in run.sent} == {f"tap{number}" for number in range(2000)}


def test_a_look_sends_only_some() -> None:
    run = Run(taps(*(binding(number) for number in range(100))))
    run.now += 16
    run.schedule.work(run.now)
    assert len(run.sent) == 16


def test_a_tap_that_has_gone_is_forgotten_and_one_without_ipv6_is_left_alone() -> None:
    served = taps(binding(0), binding(1), binding(2))
    run = Run(served)
    del served.by_index[11]
    served.by_index[12].router = None
    run.until(1000 + 3 * PERIOD)
    assert {name for _, name in run.sent} == {"tap0"}


def test_news_is_told_soon_and_no_advertisement_comes_twice() -> None:
    served = taps(binding())
    run = Run(served)
    run.until(1000 + PERIOD)
    run.sent.clear()
    for _ in range(5):
        run.schedule.begin(served.by_index[10], run.now)
    run.until(run.now + 48)
    assert len(run.sent) >= 3
    run.sent.clear()
    run.until(run.now + 4 * PERIOD)
    assert 3 <= len(run.sent) <= 13


def test_without_taps_there_is_nothing_to_wait_for() -> None:
    run = Run(taps())
    assert run.schedule.due_in(1000.0) is None
    run.schedule.work(1000.0)
