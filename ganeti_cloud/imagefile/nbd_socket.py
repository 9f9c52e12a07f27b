# SPDX-License-Identifier: BSD-2-Clause
"""Programs that serve a disk as NBD on a unix socket."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import Server, serving

# Longer than anything may take that needs one: Ganeti gives the scripts of an OS a day.
_SERVE_S = 25 * 3600.0
_START_S = 60.0
_PAUSE_S = 0.02


@contextmanager
def served(argv: Sequence[str], path: Path, *, shown: str) -> Iterator[Server]:
    """Have *argv* run within the block, which begins when the socket *path* answers. Raises CommandError.

    See :func:`ganeti_cloud.process.serving`.
    """
    with serving(argv, timeout_s=_SERVE_S, shown=shown) as server:
        end = time.monotonic() + _START_S
        while not _answers(path):
            server.check()
            if time.monotonic() > end:
                raise CommandError(f"{shown}: no answer within {_START_S:g} s", status=None)
            time.sleep(_PAUSE_S)
        yield server


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_START_S)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        return True
