# SPDX-License-Identifier: BSD-2-Clause
"""The door to other programs, tried with the shell and with Python themselves."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import BASE_ENV, follow, run, serving
from tests.unit.faketools import FakeTools

SH = "/bin/sh"

# Writes the process id of a grandchild, and then neither of the two ever ends.
LINGER = "/bin/sleep 300 & echo $! >{pid}; wait"


def ended(pid: int) -> bool:
    """Whether the process *pid* is gone, or only waits to be reaped, within five seconds."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def test_run_returns_stdout_alone() -> None:
    assert run([SH, "-c", "echo said; echo complained >&2"], timeout_s=10) == "said\n"


def test_run_gives_stdin_and_then_its_end() -> None:
    assert run(["/bin/cat"], timeout_s=10, stdin="zwei\nüber\n") == "zwei\nüber\n"
    assert run(["/bin/cat"], timeout_s=10) == ""


def test_run_does_not_mind_a_program_that_reads_nothing() -> None:
    assert run(["/bin/true"], timeout_s=10, stdin="x" * 1_000_000) == ""


def test_run_survives_bytes_that_are_no_text() -> None:
    assert run([SH, "-c", r"printf '\377ok'"], timeout_s=10) == "\ufffdok"


def test_run_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/tmp/leaked")
    monkeypatch.setenv("SECRET", "leaked")
    seen = run(["/usr/bin/env"], timeout_s=10, env={"LANG": "C", "HOME": "/nonexistent"})
    assert sorted(seen.splitlines()) == sorted(
        [f"PATH={BASE_ENV['PATH']}", "LC_ALL=C.UTF-8", "HOME=/nonexistent", "LANG=C"]
    )


def test_run_starts_a_session_of_its_own() -> None:
    session = run([SH, "-c", "read -r line </proc/$$/stat; echo $line"], timeout_s=10).rpartition(")")[2].split()[3]
    assert int(session) != os.getsid(0)


@pytest.mark.parametrize(
    ("argv", "sentence", "status"),
    [
        pytest.param([SH, "-c", "exit 3"], "/bin/sh -c exit 3: exit 3", 3, id="silent"),
        pytest.param(
            [SH, "-c", "printf 'a\\n  last words \\n\\n' >&2; exit 5"],
            "/bin/sh -c printf 'a\\n  last words \\n\\n' >&2; exit 5: exit 5: last words",
            5,
            id="last line of stderr",
        ),
        pytest.param([SH, "-c", "kill -TERM $$"], "/bin/sh -c kill -TERM $$: killed by signal 15", -15, id="signal"),
        pytest.param(["no-such-tool", "-x"], "no-such-tool: No such file or directory", None, id="missing"),
        pytest.param(["/etc/passwd"], "/etc/passwd: Permission denied", None, id="not executable"),
    ],
)
def test_run_says_how_it_failed(argv: list[str], sentence: str, status: int | None) -> None:
    with pytest.raises(CommandError) as caught:
        run(argv, timeout_s=10, hint="look there")
    assert (str(caught.value), caught.value.status, caught.value.hint) == (sentence, status, "look there")


@pytest.mark.parametrize(
    ("script", "timeout_s", "sentence"),
    [
        pytest.param("echo why >&2; exit 4", 10.0, "partprobe on node1: exit 4: why", id="status"),
        pytest.param("exec /bin/sleep 300", 0.2, "partprobe on node1: no end after 0.2 s", id="time-out"),
    ],
)
def test_run_calls_a_program_as_told(script: str, timeout_s: float, sentence: str) -> None:
    with pytest.raises(CommandError) as caught:
        run([SH, "-c", script], timeout_s=timeout_s, shown="partprobe on node1")
    assert str(caught.value) == sentence


def run_it(argv: list[str], timeout_s: float) -> None:
    run(argv, timeout_s=timeout_s)


def follow_it(argv: list[str], timeout_s: float) -> None:
    follow(argv, lambda text: None, timeout_s=timeout_s)


both = pytest.mark.parametrize("start", [pytest.param(run_it, id="run"), pytest.param(follow_it, id="follow")])


@both
def test_the_time_limit_ends_the_whole_group(start: Callable[[list[str], float], None], tmp_path: Path) -> None:
    script = LINGER.format(pid=tmp_path / "pid")
    began = time.monotonic()
    with pytest.raises(CommandError) as caught:
        start([SH, "-c", script], 0.5)
    assert time.monotonic() - began < 5
    assert (str(caught.value), caught.value.status) == (f"{SH} -c {script}: no end after 0.5 s", None)
    assert ended(int((tmp_path / "pid").read_text()))


@both
def test_the_time_limit_holds_for_a_program_that_closed_its_output(
    start: Callable[[list[str], float], None],
) -> None:
    with pytest.raises(CommandError, match=r": no end after 0\.3 s$"):
        start([SH, "-c", "exec >&- 2>&-; exec /bin/sleep 300"], 0.3)


def test_an_interruption_ends_the_program(tmp_path: Path) -> None:
    def interrupt(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow([SH, "-c", f"echo here; {LINGER.format(pid=tmp_path / 'pid')}"], interrupt, timeout_s=10)
    pid = tmp_path / "pid"
    if pid.exists() and pid.read_text():  # killed before it had a child is as good
        assert ended(int(pid.read_text()))


def test_follow_hands_on_each_piece_as_it_comes() -> None:
    pieces: list[tuple[str, float]] = []
    began = time.monotonic()
    script = "echo one; /bin/sleep 0.5; printf two"
    follow([SH, "-c", script], lambda text: pieces.append((text, time.monotonic() - began)), timeout_s=10)
    assert [text for text, _ in pieces] == ["one\n", "two"]
    assert pieces[0][1] < 0.4 < pieces[1][1]


def test_follow_takes_errors_from_stderr_however_much_there_is(fake_tool: FakeTools) -> None:
    fake_tool("copy", says="half", complains="x\n" * 100_000 + "disk full\n", status=1)
    pieces: list[str] = []
    with pytest.raises(CommandError) as caught:
        follow(["copy", "-n"], pieces.append, timeout_s=10, hint="make room")
    assert (str(caught.value), caught.value.status, caught.value.hint) == ("copy -n: exit 1: disk full", 1, "make room")
    assert pieces == ["half"]


def test_follow_hands_on_stderr_and_tells_its_last_line() -> None:
    pieces: list[str] = []
    with pytest.raises(CommandError) as caught:
        follow(
            [SH, "-c", "echo ignored; echo 50% >&2; echo failed >&2; exit 3"], pieces.append, timeout_s=10, stderr=True
        )
    assert "".join(pieces) == "50%\nfailed\n"
    assert str(caught.value).endswith(": exit 3: failed")


def test_follow_inherits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "leaked")
    pieces: list[str] = []
    follow(["/usr/bin/env"], pieces.append, timeout_s=10, env={"LANG": "C"})
    assert sorted("".join(pieces).splitlines()) == sorted(
        [f"PATH={BASE_ENV['PATH']}", "LC_ALL=C.UTF-8", "HOME=/root", "LANG=C"]
    )


def test_follow_says_that_a_program_is_missing() -> None:
    with pytest.raises(CommandError) as caught:
        follow(["no-such-tool"], print, timeout_s=10, hint="install it")
    assert (str(caught.value), caught.value.status, caught.value.hint) == (
        "no-such-tool: No such file or directory",
        None,
        "install it",
    )


def test_the_time_limit_leaves_no_pipe_open() -> None:
    before = os.listdir("/proc/self/fd")
    with pytest.raises(CommandError) as caught:
        run([SH, "-c", "exec /bin/sleep 300"], timeout_s=0.2, stdin="x" * 1_000_000)
    assert os.listdir("/proc/self/fd") == before
    assert str(caught.value) == "/bin/sh -c exec /bin/sleep 300: no end after 0.2 s"


def test_serving_hands_over_the_files_that_are_named() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        says = f"os.write({theirs.fileno()}, b'written\\n'); sys.stderr.write('complained\\n')"
        script = f"import os, sys; {says}; sys.exit(3)"
        python = [sys.executable, "-c", script]
        with serving(python, timeout_s=10, pass_fds=[theirs.fileno()], stderr_fd=theirs.fileno()) as server:
            assert server.ended(10) == 3
        theirs.close()
        assert ours.makefile().read() == "written\ncomplained\n"


def test_serving_tells_that_the_program_has_not_ended() -> None:
    with serving([SH, "-c", "exec /bin/sleep 300"], timeout_s=10) as server:
        assert server.ended(0.1) is None
    assert server.ended(0) == -9
