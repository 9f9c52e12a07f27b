# SPDX-License-Identifier: BSD-2-Clause
"""The one door to other programs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

from ganeti_cloud.errors import CommandError

# noded leaks its own environment into the scripts it runs, so nothing is inherited.
BASE_ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root"}

_AnyProcess = subprocess.Popen[str] | subprocess.Popen[bytes]

# How long a killed program may take to disappear. One in uninterruptible sleep (a hung device) never does.
_REAP_S = 2.0

_PR_SET_PDEATHSIG = 1  # prctl(2)


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    hint: str = "",
    shown: str = "",
) -> str:
    """Run *argv* to its end and return its stdout.

    The program gets *stdin* as its whole input, :data:`BASE_ENV` plus *env*, and a session of its own. When
    *timeout_s* is over, the whole process group is killed, and given up if even that does not end it. Errors call the
    program *shown* where its command line would not tell a reader what was wanted.
    Raises CommandError when the program cannot be started, ends with another status than 0, or takes too long.
    """
    shown = shown or _shown(argv)
    process = _start(argv, env=env, hint=hint)
    with _limited(process, shown, timeout_s, hint):
        out, err = process.communicate(stdin, timeout=timeout_s)
    if process.returncode != 0:
        raise CommandError(_failure(shown, process.returncode, err), status=process.returncode, hint=hint)
    return out


def follow(
    argv: Sequence[str],
    on_text: Callable[[str], None],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    hint: str = "",
    shown: str = "",
    stderr: bool = False,
) -> None:
    """Like :func:`run`, but hand each piece of stdout to *on_text* as it comes: for progress of long work.

    With *stderr* it is that of stderr, and stdout is not kept.
    """
    stream(
        argv,
        lambda piece: on_text(piece.decode(errors="replace")),
        timeout_s=timeout_s,
        env=env,
        hint=hint,
        shown=shown,
        stderr=stderr,
    )


def stream(
    argv: Sequence[str],
    on_bytes: Callable[[bytes], None],
    *,
    timeout_s: float,
    stdin: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    hint: str = "",
    shown: str = "",
    stderr: bool = False,
) -> None:
    """Like :func:`follow`, for a program that turns the file *stdin* into other bytes.

    When *on_bytes* raises, the program is killed.
    """
    # Imported here: the hot verbs of Ganeti scripts run without these.
    import selectors
    import tempfile
    import time

    shown = shown or _shown(argv)
    end = time.monotonic() + timeout_s
    with tempfile.TemporaryFile() as errors, selectors.DefaultSelector() as selector:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=stdin or subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if stderr else subprocess.PIPE,
                stderr=subprocess.PIPE if stderr else errors,
                env={**BASE_ENV, **(env or {})},
                start_new_session=True,
            )
        except OSError as err:
            raise CommandError(f"{argv[0]}: {err.strerror}", status=None, hint=hint) from err
        pipe = process.stderr if stderr else process.stdout
        assert pipe is not None
        with pipe, _limited(process, shown, timeout_s, hint):
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                if not selector.select(timeout=max(0.0, end - time.monotonic())):
                    raise _late(shown, timeout_s, hint)
                piece = os.read(pipe.fileno(), 1 << 16)
                if not piece:
                    break
                if stderr:
                    errors.write(piece)
                on_bytes(piece)
            process.wait(timeout=max(0.1, end - time.monotonic()))
        if process.returncode != 0:
            errors.seek(0)
            text = errors.read().decode(errors="replace")
            raise CommandError(_failure(shown, process.returncode, text), status=process.returncode, hint=hint)


class Server:
    """A program that runs beside us; see :func:`serving`."""

    def __init__(self, process: _AnyProcess, errors: IO[bytes], shown: str, hint: str) -> None:
        self._process, self._errors, self._shown, self._hint = process, errors, shown, hint

    def check(self) -> None:
        """Raise CommandError when the program has ended."""
        status = self._process.poll()
        if status is not None:
            self._errors.seek(0)
            text = self._errors.read().decode(errors="replace")
            raise CommandError(_failure(self._shown, status, text), status=status, hint=self._hint)

    def ended(self, timeout_s: float) -> int | None:
        """The exit status (less than 0: the signal), None when the program has not ended within *timeout_s*."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None


@contextmanager
def serving(
    argv: Sequence[str],
    *,
    timeout_s: float,
    hint: str = "",
    shown: str = "",
    pass_fds: Sequence[int] = (),
    stderr_fd: int | None = None,
) -> Iterator[Server]:
    """Have the program *argv* run within the block; at its end, or after *timeout_s*, it is killed with all it started.

    It also goes when this process is killed. It inherits *pass_fds*; its stderr goes to *stderr_fd* when that is
    given, and else into the error of a :meth:`Server.check`. To be called by the main thread. Raises CommandError when
    the program cannot be started.
    """
    import ctypes
    import tempfile
    import threading

    libc, us = ctypes.CDLL(None), os.getpid()

    def die_with_us() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != us:  # too late for the signal
            os._exit(1)

    shown = shown or _shown(argv)
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors if stderr_fd is None else stderr_fd,
                env=BASE_ENV,
                start_new_session=True,
                preexec_fn=die_with_us,
                pass_fds=pass_fds,
            )
        except OSError as err:
            raise CommandError(f"{argv[0]}: {err.strerror}", status=None, hint=hint) from err
        limit = threading.Timer(timeout_s, _kill, (process,))
        limit.daemon = True
        limit.start()
        try:
            yield Server(process, errors, shown, hint)
        finally:
            limit.cancel()
            _kill(process)


def _start(argv: Sequence[str], *, env: Mapping[str, str] | None, hint: str) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**BASE_ENV, **(env or {})},
            start_new_session=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as err:
        raise CommandError(f"{argv[0]}: {err.strerror}", status=None, hint=hint) from err


@contextmanager
def _limited(process: _AnyProcess, shown: str, timeout_s: float, hint: str) -> Iterator[None]:
    """Whatever ends the block before the *process* has ended also ends the process."""
    try:
        yield
    except subprocess.TimeoutExpired as late:
        _kill(process)
        raise _late(shown, timeout_s, hint) from late
    except BaseException:
        _kill(process)
        raise


def _kill(process: _AnyProcess) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        process.wait(timeout=_REAP_S)
    except subprocess.TimeoutExpired:
        pass  # it sleeps in the kernel; waiting for it would hang the caller as well
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:
                pass  # what it was still to be told


def _late(shown: str, timeout_s: float, hint: str) -> CommandError:
    return CommandError(f"{shown}: no end after {timeout_s:g} s", status=None, timed_out=True, hint=hint)


def _shown(argv: Sequence[str]) -> str:
    return " ".join(argv)


def _failure(shown: str, status: int, stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    last = f": {lines[-1].strip()}" if lines else ""
    how = f"exit {status}" if status >= 0 else f"killed by signal {-status}"
    return f"{shown}: {how}{last}"
