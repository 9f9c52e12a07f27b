# SPDX-License-Identifier: BSD-2-Clause
"""Copying a volume that nobody uses, from one block device of this node to another of the same size."""

from __future__ import annotations

import re
from collections.abc import Callable

from ganeti_cloud.process import follow

# Terabytes take their time. A store that does not answer shows in the progress, and the copy can be interrupted.
_COPY_S = 48 * 3600.0
_PROGRESS = re.compile(r"\(\s*(\d+(?:\.\d+)?)/100%\)")


def copy(old: str, new: str, on_percent: Callable[[float], None]) -> None:
    """Make *new* hold what *old* holds, durably; zeros become holes where the store can have some.

    *on_percent* is told the progress, 0 to 100. Raises CommandError, and *new* then holds anything.
    """
    rest = ""

    def on_text(text: str) -> None:
        nonlocal rest
        rest += text
        percents = _PROGRESS.findall(rest)
        if percents:
            on_percent(float(percents[-1]))
            rest = rest[-16:]

    # -n: the target is there. Both are read and written past the page cache, which another node could not see.
    argv = ["qemu-img", "convert", "-p", "-n", "-f", "raw", "-O", "raw", "-t", "none", "-T", "none", "--", old, new]
    follow(argv, on_text, timeout_s=_COPY_S, hint="the old place is untouched; run the command again to start over")
