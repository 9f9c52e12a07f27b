# SPDX-License-Identifier: BSD-2-Clause
"""A network of its own for a test of the kernel's interfaces."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_CLONE_NEWNET = 0x40000000  # linux/sched.h


@contextmanager
def own_network() -> Iterator[None]:
    """Within this block the thread, and what it starts, is in a new network namespace, which ends with the block.

    Only root can have one: the test is skipped for others, and fails where root is refused.
    """
    if os.geteuid() != 0:
        pytest.skip("network namespaces are for root")
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        try:
            yield
        finally:
            assert libc.setns(before, _CLONE_NEWNET) == 0
    finally:
        os.close(before)
