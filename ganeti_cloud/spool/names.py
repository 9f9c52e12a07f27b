# SPDX-License-Identifier: BSD-2-Clause
"""What the files of a spool are called, and what is in its folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

SUFFIX = ".json"
# An event that has no number yet. What dies on the way leaves it behind.
NEW = ".new-"
# Where events go that cannot be read.
CORRUPT = "corrupt"

_DIGITS = 20
# Names sort as numbers while all of them have as many digits; the clock gets there in the year 2262.
HIGHEST = (1 << 63) - 1


class Content(NamedTuple):
    """What is in a folder: the *highest* number, and *files* of *size* bytes, with what is no event but has a name."""

    highest: int
    files: int
    size: int


def name_of(number: int) -> str:
    """The name of the event with *number*."""
    return f"{number:0{_DIGITS}}{SUFFIX}"


def number_of(name: str) -> int | None:
    """The number of the event with *name*; None when this is no name of an event."""
    digits = name.removesuffix(SUFFIX)
    if len(name) != _DIGITS + len(SUFFIX) or len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    number = int(digits)
    return number if number <= HIGHEST else None


def temporary(prefix: str) -> str:
    """A name that nobody else has, and that no event has."""
    return prefix + os.urandom(8).hex()


def look(folder: Path) -> Content:
    """Count what is in *folder*. Raises OSError."""
    highest = files = size = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue  # among them the event that this is done for
            highest = max(highest, number_of(entry.name) or 0)
            try:
                size += entry.stat(follow_symlinks=False).st_size
            except FileNotFoundError:
                continue  # published meanwhile
            files += 1
    return Content(highest, files, size)
