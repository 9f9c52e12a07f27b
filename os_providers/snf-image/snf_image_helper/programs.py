# SPDX-License-Identifier: BSD-2-Clause
"""The one door to other programs in the helper machine.

Python's subprocess does the same, but to import it costs more than all our programs take: the machine may be emulated.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence

from snf_image_helper.task import TaskError

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
# LVM has no settings here but those on its command line, see lvm(8).
_ENVIRONMENT = {"PATH": PATH, "LC_ALL": "C", "HOME": "/run", "TMPDIR": "/run", "LVM_SYSTEM_DIR": ""}

# The module signal is another that costs.
_SIGKILL = 9

# What is kept of a program's output; the rest is read and dropped, so that the program can end.
OUTPUT_BYTES = 4 << 20
ERROR_BYTES = 16 << 10


class ProgramError(TaskError):
    """The program failed; the text is its name and its last words."""


def run(argv: Sequence[str], *, stdin: bytes = b"", allowed: Sequence[int] = (0,), timeout_s: float = 60.0) -> str:
    """What the program *argv* wrote to its standard output, with replacements for what is no UTF-8.

    It gets *stdin*, an environment of our own, and no other file of ours. Raises ProgramError when it cannot be
    started, ends with a status that is not *allowed*, or is not done within *timeout_s*: then its whole group is
    killed.
    """
    name = os.path.basename(argv[0])
    given = os.memfd_create("stdin", os.MFD_CLOEXEC)
    out, out_w = os.pipe()
    err, err_w = os.pipe()
    try:
        os.write(given, stdin)
        os.lseek(given, 0, os.SEEK_SET)
        actions = [(os.POSIX_SPAWN_DUP2, fd, to) for fd, to in ((given, 0), (out_w, 1), (err_w, 2))]
        pid = os.posix_spawnp(argv[0], list(argv), _ENVIRONMENT, file_actions=actions, setpgroup=0)
    except OSError as error:
        for fd in (out, err):
            os.close(fd)
        raise ProgramError(f"{name}: cannot be started: {error.strerror}") from error
    finally:
        for fd in (given, out_w, err_w):
            os.close(fd)
    said, status = _finished(pid, {out: OUTPUT_BYTES, err: ERROR_BYTES}, time.monotonic() + timeout_s)
    if status is None:
        raise ProgramError(f"{name}: was not done in {timeout_s:.0f} s")
    if status not in allowed:
        raise ProgramError(f"{name}: {_last_words(said[err]) or _last_words(said[out]) or 'failed'} ({_ended(status)})")
    return said[out].decode(errors="replace")


def _finished(pid: int, pipes: dict[int, int], until: float) -> tuple[dict[int, bytearray], int | None]:
    """What *pid* wrote to *pipes*, each with its limit, and its exit status; None when it had to be killed.

    A daemon that it leaves behind may hold the pipes open: the end of *pid* is what counts.
    """
    said = {fd: bytearray() for fd in pipes}
    process = os.pidfd_open(pid)
    poll = select.poll()
    for fd in (*pipes, process):
        os.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)
    opened = set(pipes)
    try:
        ended = False
        while not ended and (left := until - time.monotonic()) > 0:
            ready = {fd for fd, _ in poll.poll(left * 1000)}
            ended = process in ready
            for fd in opened if ended else opened & ready:
                if not _read(fd, said[fd], pipes[fd]):
                    poll.unregister(fd)
                    opened = opened - {fd}
        if not ended:
            os.killpg(pid, _SIGKILL)
        _, wait_status = os.waitpid(pid, 0)
        return said, os.waitstatus_to_exitcode(wait_status) if ended else None
    finally:
        for fd in (*pipes, process):
            os.close(fd)


def _read(fd: int, into: bytearray, limit: int) -> bool:
    """Read what there is; whether there may be more one day. Only the first *limit* bytes are kept."""
    try:
        while data := os.read(fd, 1 << 16):
            into += data[: max(0, limit - len(into))]
    except BlockingIOError:
        return True
    return False


def _last_words(said: bytearray) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""


def _ended(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
