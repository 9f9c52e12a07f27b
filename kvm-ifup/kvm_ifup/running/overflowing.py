# SPDX-License-Identifier: BSD-2-Clause
"""Guests that begin more than their filter has room to know: who looks is told, and the system's log as it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from ganeti_cloud.errors import CloudError
from ganeti_cloud.files import replace_file

_NAME = "overflows"


def told(packets: int) -> str:
    """What is wrong with a tap of which *packets* had no room."""
    return f"filter: {packets} packets began more than it has room to know; their answers were not let in"


def tell(folder: Path, overflows: Mapping[str, int], log: Callable[[str], None]) -> None:
    """Log what came since the last call, by what is kept in *folder*. Raises CloudError."""
    path = folder / _NAME
    former = _former(path)
    if former == overflows:
        return
    for tap, packets in overflows.items():
        before = former.get(tap, 0)
        # Another tap of the same name begins with none.
        if since := packets - before if packets >= before else packets:
            log(f"{tap}: {told(since)}")
    try:
        replace_file(path, json.dumps(overflows) + "\n", mode=0o600)
    except OSError as err:
        raise CloudError(f"{path}: {err.strerror}", hint="/run must be writable for root and have room") from err


def _former(path: Path) -> dict[str, int]:
    """What was told of; nothing when that cannot be read: told twice is better than never."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {tap: packets for tap, packets in found.items() if type(packets) is int}
