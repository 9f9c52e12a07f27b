# SPDX-License-Identifier: BSD-2-Clause
"""What a doctor's findings look like, and what they amount to."""

from __future__ import annotations

import pytest

from ganeti_cloud.checkup import Check, State, exit_status


@pytest.mark.parametrize(
    ("check", "lines"),
    [
        (Check("keyring", State.OK, "is there"), ["OK    keyring: is there"]),
        (Check("map nbd", State.NO, "no\nmodule"), ["NO    map nbd: no module"]),
        (
            Check("cluster", State.FAIL, "no answer", "see\n`ceph -s`"),
            ["FAIL  cluster: no answer", "      hint: see `ceph -s`"],
        ),
    ],
)
def test_lines(check: Check, lines: list[str]) -> None:
    assert check.lines() == lines


@pytest.mark.parametrize(
    ("states", "status"),
    [([], 0), ([State.OK, State.NO, State.WARN], 0), ([State.FAIL, State.OK], 1)],
)
def test_only_what_fails_counts(states: list[State], status: int) -> None:
    assert exit_status(Check("x", state, "y") for state in states) == status
