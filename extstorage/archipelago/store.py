# SPDX-License-Identifier: BSD-2-Clause
"""The store that the settings name: all that a driver offers, see :mod:`archipelago.contract`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from archipelago.contract.contents import Contents
from archipelago.contract.openings import Moves, Openings
from archipelago.contract.volumes import Maintenance, Snapshots, Trash, Volumes
from archipelago.parameters import Settings


class Store(Volumes, Snapshots, Trash, Maintenance, Contents, Openings, Moves, Protocol):
    """All that a driver offers."""

    settings: Settings


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The store that *settings* name; closed at the end of the block."""
    with _driver(settings) as store:
        yield store


def _driver(settings: Settings) -> AbstractContextManager[Store]:
    # The imports are late because Ceph's bindings alone take as long to load as all the rest of a script.
    if settings.driver == "file":
        from archipelago.file import store as files

        return files.opened(settings)
    from archipelago.rados import store

    return store.opened(settings)
