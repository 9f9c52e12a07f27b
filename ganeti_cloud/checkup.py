# SPDX-License-Identifier: BSD-2-Clause
"""What the doctor of a plugin finds: one record for each thing that was looked at."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from ganeti_cloud.errors import one_line


class State(StrEnum):
    """How it stands with one thing."""

    OK = "OK"
    # Not there, and not needed either: nothing to mend.
    NO = "NO"
    # It works, and something about it should be changed.
    WARN = "WARN"
    FAIL = "FAIL"


class Check(NamedTuple):
    """One thing that was looked at: what it is called, how it stands, why, and what to do about it."""

    name: str
    state: State
    text: str
    remedy: str = ""

    def lines(self) -> list[str]:
        """For a person: the finding, and below it the remedy where there is one."""
        remedy = [f"{'':6}hint: {one_line(self.remedy)}"] if self.remedy else []
        return [f"{self.state:<6}{self.name}: {one_line(self.text)}", *remedy]


def exit_status(checks: Iterable[Check]) -> int:
    """1 when something failed, otherwise 0: what only warns works."""
    return 1 if any(check.state is State.FAIL for check in checks) else 0
