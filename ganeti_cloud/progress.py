# SPDX-License-Identifier: BSD-2-Clause
"""How progress looks on a terminal, in every program of the suite."""

from __future__ import annotations

_WIDTH = 40


def bar(phase: str, percent: int) -> str:
    """One line, without its end, for *phase* of which *percent* is done."""
    filled = "#" * (_WIDTH * percent // 100)
    return f"{phase:10} [{filled:<{_WIDTH}}] {percent:3} %"
