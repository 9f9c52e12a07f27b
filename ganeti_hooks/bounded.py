# SPDX-License-Identifier: BSD-2-Clause
"""An end to waiting for what cannot be interrupted: a disk or a file system that hangs.

Such a process cannot even be killed, nor can any thread of it end (a wait that is uninterruptible, see proc(5)). So a
child does the work. One that is late is left to the kernel, which ends it when the disk is back; it has nothing open
that Ganeti waits for.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from typing import NoReturn


def done_within(work: Callable[[], object], limit_s: float) -> bool:
    """Whether *work*, in a child of ours, came to an end in time, whichever end it was."""
    child = os.fork()
    if child == 0:
        _in_child(work)
    watch = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(watch, select.POLLIN)
        ended = bool(poll.poll(limit_s * 1000))
    finally:
        os.close(watch)
    if ended:
        os.waitpid(child, 0)
    else:
        os.kill(child, signal.SIGKILL)
    return ended


def _in_child(work: Callable[[], object]) -> NoReturn:
    try:
        # Ganeti reads the output of a hook until nobody has it open any more.
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        work()
    finally:
        os._exit(0)
