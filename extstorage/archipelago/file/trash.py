# SPDX-License-Identifier: BSD-2-Clause
"""Volumes that were removed and can be brought back. See :class:`archipelago.contract.volumes.Trash`.

A record that goes to the trash, or comes back, is renamed as the last step; until then it is where it was.
"""

from __future__ import annotations

import datetime
import os

from archipelago.contract.volumes import TrashRecord
from archipelago.file import data, openings, records
from archipelago.file.layout import Layout
from archipelago.file.locks import named
from archipelago.file.records import Record
from archipelago.file.snapshots import clones
from archipelago.file.volumes import drop, now
from ganeti_cloud.errors import RequestError, StorageError


def put(layout: Layout, name: str, keep_days: int) -> bool:
    """Put volume *name* into the trash for *keep_days*; False when there is none. Raises StorageError when open."""
    with named(layout, name):
        record = records.read(layout, "volumes", name)
        if record is None:
            return False
        openings.refuse_attached(layout, name)
        until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=keep_days)
        kept_until = until.isoformat(timespec="seconds")
        records.write(layout, "volumes", record._replace(removed=now(), kept_until=kept_until, moving=""))
        target = records.path(layout, "trash", f"{name}.{os.urandom(4).hex()}")
        os.rename(records.path(layout, "volumes", name), target)
    return True


def listed(layout: Layout) -> list[TrashRecord]:
    """See :meth:`archipelago.contract.volumes.Trash.trashed`."""
    found = []
    for entry in records.names(layout, "trash"):
        record = records.read(layout, "trash", entry)
        if record is not None:
            names = [saved.name for saved in record.snapshots]
            found.append(
                TrashRecord(entry, record.name, record.removed, record.kept_until, names, _clones(layout, record))
            )
    return sorted(found, key=lambda record: (record.removed, record.id))


def restore(layout: Layout, entry: TrashRecord) -> None:
    """See :meth:`archipelago.contract.volumes.Trash.restore`."""
    with named(layout, entry.name):
        record = records.read(layout, "trash", entry.id)
        if record is None:
            raise RequestError(
                f"there is no {entry.id} in the trash", hint="`archipelago trash list` shows what there is"
            )
        if records.read(layout, "volumes", entry.name) is not None:
            raise RequestError(
                f"there is a volume {entry.name} already",
                hint=f"give that one another name first: archipelago volume rename {entry.name} NEW",
            )
        records.write(
            layout,
            "trash",
            record._replace(owner="", cluster="", removed="", kept_until="", moving="", named=now()),
            entry.id,
        )
        os.rename(records.path(layout, "trash", entry.id), records.path(layout, "volumes", entry.name))


def purge(layout: Layout, entry: TrashRecord) -> bool:
    """See :meth:`archipelago.contract.volumes.Trash.purge`."""
    with named(layout, entry.name):
        record = records.read(layout, "trash", entry.id)
        if record is None:
            return False
        users = _clones(layout, record)
        if users:
            raise StorageError(
                f"{entry.name} in the trash is shared by volumes that were cloned from it: {', '.join(users)}",
                hint="it can go when they are gone, or made independent with `archipelago volume flatten`",
            )
        drop(layout, "trash", record, entry.id)
    data.collect(layout)
    return True


def _clones(layout: Layout, record: Record) -> list[str]:
    return [name for name in clones(layout, record.name, record.snapshots) if name != record.name]
