# SPDX-License-Identifier: BSD-2-Clause
"""Folders for what reading an image needs for a while. Those of programs that were killed go with the next one."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Not /tmp, which is in memory in many places.
PLACE = Path("/var/tmp")
_PREFIX = "ganeti-cloud-image."


@contextmanager
def folder() -> Iterator[Path]:
    """A new folder for temporary files, gone at the end of the block."""
    for left in PLACE.glob(f"{_PREFIX}*"):
        with _locked(left) as is_dead:
            if is_dead:
                shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=PLACE) as name, _locked(Path(name)):
        yield Path(name)


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold the folder *path* as ours within the block; False when somebody else does, or it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
