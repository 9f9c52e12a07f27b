# SPDX-License-Identifier: BSD-2-Clause
"""The lock that a script holds while it changes what this node has of a volume."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from archipelago.attached import RUN_FOLDER
from ganeti_cloud.errors import StorageError

_LOCK_S = 30.0
# Some locks for all volumes: a lock file cannot be removed safely, so there are not more than these.
_LOCKS = 64


@contextmanager
def locked(volume: str) -> Iterator[None]:
    """One script at a time changes the mapping of *volume* on this node."""
    os.makedirs(RUN_FOLDER, mode=0o700, exist_ok=True)
    number = sum(volume.encode()) % _LOCKS
    with open(f"{RUN_FOLDER}/lock.{number}", "w", encoding="ascii") as stream:
        end = time.monotonic() + _LOCK_S
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as err:
                if time.monotonic() > end:
                    raise StorageError(
                        f"another script has been busy with {volume} for {_LOCK_S:g} s",
                        hint="see `ps -ef | grep archipelago`; try again when it has ended",
                    ) from err
                time.sleep(0.05)
        yield
