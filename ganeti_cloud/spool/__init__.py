# SPDX-License-Identifier: BSD-2-Clause
"""Contract "spool": a folder with one file an event, to be published in the order of the names and then deleted.

A file is named by a number that only grows, whatever the clock does. Whoever looks at the folder meets whole events
only, and never one whose number is below that of another it was shown before. ganeti-cloud-spool(7) is the page for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ganeti_cloud.spool.bounds import MOST_BYTES, MOST_FILES, SpoolFull
from ganeti_cloud.spool.putting import FOLDER, put

if TYPE_CHECKING:
    from ganeti_cloud.spool.reading import Depth, Spool
    from ganeti_cloud.spool.writer import Writer

__all__ = ["FOLDER", "MOST_BYTES", "MOST_FILES", "Depth", "Spool", "SpoolFull", "Writer", "put"]

# A hook puts one event, and has milliseconds for all that it imports.
_LATER = {"Depth": "reading", "Spool": "reading", "Writer": "writer"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_LATER[name]}"), name)
