# SPDX-License-Identifier: BSD-2-Clause
"""How many packets of one tap are looked at, so that no guest has more than its share of the daemon."""

from __future__ import annotations

from nfdhcpd.guests.taps import Tap
from nfdhcpd.settings import LimitSettings


class Limiter:
    """A bucket for each tap (it is kept in the tap): a packet takes one out, and time puts them back."""

    __slots__ = ("_burst", "_rate")

    def __init__(self, settings: LimitSettings) -> None:
        self.change(settings)

    def change(self, settings: LimitSettings) -> None:
        """Keep to *settings* from now on."""
        self._rate = float(settings.packets_per_second)
        self._burst = float(settings.burst)

    def allows(self, tap: Tap, now: float) -> bool:
        """Whether one more packet of *tap* may be looked at; *now* is of the monotonic clock."""
        allowance = tap.allowance + (now - tap.allowance_at) * self._rate
        if allowance > self._burst:
            allowance = self._burst
        tap.allowance_at = now
        if allowance < 1.0:
            tap.allowance = allowance
            return False
        tap.allowance = allowance - 1.0
        return True
