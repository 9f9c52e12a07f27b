# SPDX-License-Identifier: BSD-2-Clause
"""A place of our own for files that programs of the helper write or read; nothing of it reaches a disk there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

PLACE = "/run"


@contextmanager
def folder() -> Iterator[str]:
    """A new empty folder for root alone; it is removed with the files in it."""
    path = f"{PLACE}/snf-image-{os.urandom(8).hex()}"
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        for name in os.listdir(path):
            os.unlink(f"{path}/{name}")
        os.rmdir(path)
