# SPDX-License-Identifier: BSD-2-Clause
"""What has to be done in the shared folder from time to time. See :class:`archipelago.contract.volumes.Maintenance`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from archipelago.contract.volumes import MaintainedElsewhere
from archipelago.file import data, records
from archipelago.file.layout import Layout
from archipelago.file.locks import named, taken


@contextmanager
def maintaining(layout: Layout) -> Iterator[None]:
    """See :meth:`archipelago.contract.volumes.Maintenance.maintaining`."""
    path = layout.path("locks", "maintaining")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    lock = taken(path)
    if lock is None:
        raise MaintainedElsewhere(
            "another node maintains this store just now",
            hint="there is nothing to do; a node that died at it is forgotten after a minute",
        )
    try:
        yield
    finally:
        os.close(lock)


def too_deep(layout: Layout, max_depth: int) -> list[str]:
    """See :meth:`archipelago.contract.volumes.Maintenance.too_deep`."""
    deep = []
    for name in records.names(layout, "volumes"):
        record = records.read(layout, "volumes", name)
        if record is not None and len(record.chain) - 1 > max_depth:
            deep.append((len(record.chain), name))
    return [name for _, name in sorted(deep)]


def sweep(layout: Layout, name: str) -> None:
    """See :meth:`archipelago.contract.volumes.Maintenance.sweep`."""
    with named(layout, name):
        records.forget_drafts(layout, "volumes", name)
    data.collect(layout)
