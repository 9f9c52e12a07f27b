# SPDX-License-Identifier: BSD-2-Clause
"""One process at a time changes taps: what each does is short, and much of it is of all taps together."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ganeti_cloud.errors import CloudError

WAIT_S = 60.0
_LOOK_S = 0.01


@contextmanager
def locked(folder: str, wait_s: float = WAIT_S) -> Iterator[None]:
    """Within the block no other process is in one. Raises CloudError when that takes longer than *wait_s*."""
    try:
        os.makedirs(folder, mode=0o755, exist_ok=True)
        descriptor = os.open(f"{folder}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as err:
        raise CloudError(f"{folder}: {err.strerror}", hint="kvm-ifup runs as root, and /run must be writable") from err
    try:
        end = time.monotonic() + wait_s
        while not _taken(descriptor):
            if time.monotonic() > end:
                raise CloudError(
                    f"another kvm-ifup has been busy for {wait_s:g} s",
                    hint="see `ps -ef | grep kvm-ifup`; a site script may hang",
                )
            time.sleep(_LOOK_S)
        yield
    finally:
        # With it goes the lock.
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
