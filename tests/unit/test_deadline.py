# SPDX-License-Identifier: BSD-2-Clause
"""The end of a process that does not end by itself. Each test is a process of its own, since it has to die."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# libc's sleep() by ctypes is such a call as librados makes: it lets threads run, and no signal handler of Python.
SCRIPT = """
import ctypes, time
from ganeti_cloud.deadline import process_limit
from ganeti_cloud.errors import StorageError

class Strange(StorageError):
    exit_code = 75

with process_limit({limit}, {late}):
    {work}
print("after")
"""


def outcome(*, limit: float, late: str, work: str) -> tuple[int, str, str]:
    script = SCRIPT.format(limit=limit, late=late, work=work)
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("work", ["ctypes.CDLL(None).sleep(20)", "time.sleep(20)"], ids=["C call", "Python"])
@pytest.mark.parametrize(
    ("late", "status", "text"),
    [
        pytest.param('StorageError("late\\nindeed", hint="wait")', 1, "error: late indeed\nhint: wait\n", id="hint"),
        pytest.param('Strange("late")', 75, "error: late\n", id="own exit code"),
    ],
)
def test_the_process_ends_and_says_why(work: str, late: str, status: int, text: str) -> None:
    began = time.monotonic()
    assert outcome(limit=0.2, late=late, work=work) == (status, "", text)
    assert time.monotonic() - began < 10


def test_work_that_ends_in_time_goes_on_and_is_left_alone() -> None:
    work = "pass\ntime.sleep(0.6)"
    assert outcome(limit=0.3, late='StorageError("late")', work=work) == (0, "after\n", "")


def test_an_error_within_stops_the_clock() -> None:
    status, out, err = outcome(limit=20, late='StorageError("late")', work='raise ValueError("own")')
    assert (status, out, err.splitlines()[-1]) == (1, "", "ValueError: own")
