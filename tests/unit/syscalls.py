# SPDX-License-Identifier: BSD-2-Clause
"""Ends a process at any of its system calls, by ptrace(2)."""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable

_TRACEME, _SYSCALL, _SETOPTIONS = 0, 24, 0x4200
_EXITKILL = 0x100000
_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_LIBC.ptrace.restype = ctypes.c_long


def killed_at(stop: int, action: Callable[[], object]) -> bool:
    """Run *action* in a process that is killed at its *stop*-th stop: before and after each system call there is one.

    Whether the action had ended before. What it raises ends the process as well.
    """
    pid = os.fork()
    if not pid:
        _run(action)
    try:
        _wait(pid)
        _ptrace(_SETOPTIONS, pid, _EXITKILL)
        for _ in range(stop):
            _ptrace(_SYSCALL, pid, 0)
            status = _wait(pid)
            if os.WIFEXITED(status):
                pid = 0
                assert os.WEXITSTATUS(status) == 0
                return True
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return False


def _run(action: Callable[[], object]) -> None:
    status = 1
    try:
        _ptrace(_TRACEME, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP)
        action()
        status = 0
    finally:
        os._exit(status)


def _wait(pid: int) -> int:
    return os.waitpid(pid, 0)[1]


def _ptrace(request: int, pid: int, data: int) -> None:
    if _LIBC.ptrace(request, pid, None, data):
        raise OSError(ctypes.get_errno(), "ptrace")
