# SPDX-License-Identifier: BSD-2-Clause
"""An end to every call, also to those that Python cannot interrupt."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ganeti_cloud.errors import CloudError, report


@contextmanager
def process_limit(seconds: float, late: CloudError) -> Iterator[None]:
    """Within this block the process has *seconds*; then it tells *late* on stderr and ends with its exit code.

    librados ignores Python's signal handlers until its call returns, but it lets other threads run: so a thread
    ends the process. Nothing is cleaned up then, because what would clean up is what hangs; callers leave only
    what the next run of the same verb puts right.
    """

    def end() -> None:
        os.write(2, report(late).encode())
        os._exit(late.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
