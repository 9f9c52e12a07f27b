# SPDX-License-Identifier: BSD-2-Clause
"""The helper machine's door to other programs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from snf_image_helper import programs
from snf_image_helper.programs import ProgramError, run

pytestmark = pytest.mark.host_tools


def test_a_program_gets_its_input_and_tells_its_output() -> None:
    data = bytes(range(128)) * 10000
    assert run(["cat"], stdin=data) == data.decode()
    assert run(["printf", "\\377x"]) == "\N{REPLACEMENT CHARACTER}x"


def test_a_program_gets_nothing_else_of_ours(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("wb"):
        assert "secret" not in run(["ls", "-l", "/proc/self/fd"])
    environment = {line.partition("=")[0] for line in run(["env"]).splitlines()}
    assert environment == {"PATH", "LC_ALL", "HOME", "TMPDIR", "LVM_SYSTEM_DIR"}


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo first >&2; echo the reason >&2; echo >&2; exit 3", "sh: the reason (exit status 3)"),
        ("echo on the output; exit 1", "sh: on the output (exit status 1)"),
        ("exit 2", "sh: failed (exit status 2)"),
        ("kill -9 $$", "sh: failed (killed by signal 9)"),
    ],
)
def test_the_last_words_of_a_program_that_fails_are_the_reason(script: str, reason: str) -> None:
    with pytest.raises(ProgramError) as error:
        run(["sh", "-c", script])
    assert str(error.value) == reason


def test_some_statuses_are_no_failures() -> None:
    assert run(["sh", "-c", "echo corrected; exit 1"], allowed=(0, 1)) == "corrected\n"


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(ProgramError, match="^no-such-program: cannot be started: No such file or directory$"):
        run(["no-such-program"])


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with pytest.raises(ProgramError, match=r"^sh: was not done in 1 s$"):
        run(["sh", "-c", f"sleep 60 & echo $! > {note}; echo $$ >> {note}; wait"], timeout_s=1.0)
    assert [gone(int(pid)) for pid in note.read_text().split()] == [True, True]


def test_what_a_program_leaves_running_is_not_waited_for() -> None:
    before = time.monotonic()
    assert run(["sh", "-c", "sleep 5 & echo mounted"]) == "mounted\n"
    assert time.monotonic() - before < 3


def test_output_without_end_is_read_and_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "OUTPUT_BYTES", 1000)
    assert len(run(["head", "-c", "9000000", "/dev/zero"])) == 1000


def test_no_file_stays_open() -> None:
    before = open_files()
    run(["true"])
    with pytest.raises(ProgramError):
        run(["no-such-program"])
    with pytest.raises(ProgramError):
        run(["sleep", "9"], timeout_s=0.05)
    assert open_files() == before


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def gone(pid: int) -> bool:
    """Whether *pid* has ended, or is about to be forgotten by its new parent."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False
