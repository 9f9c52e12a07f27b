# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots that a person takes. See :class:`archipelago.contract.volumes.Snapshots`.

A snapshot is an entry in the record of its volume, with the chain of the data that it holds.
"""

from __future__ import annotations

from archipelago.contract.volumes import SnapshotRecord
from archipelago.file import data, openings, records
from archipelago.file.layout import Layout
from archipelago.file.locks import named, referring
from archipelago.file.moments import moment
from archipelago.file.records import Saved
from archipelago.file.volumes import now, require
from ganeti_cloud.errors import RequestError


def take(layout: Layout, volume: str, name: str) -> None:
    """See :meth:`archipelago.contract.volumes.Snapshots.take_snapshot`."""
    with named(layout, volume):
        record = require(layout, volume)
        if record.snapshot(name):
            raise RequestError(
                f"volume {volume} has a snapshot {name!r} already",
                hint=f"choose another name, or remove it first: archipelago snapshot remove {volume}@{name}",
            )
        size = data.size_of(layout.data(record.chain[0]))
        with moment(layout, record, volume) as (chain, _):
            record = require(layout, volume)  # it may have got an overlay just now
            saved = Saved(name, chain, size, now())
            records.write(layout, "volumes", record._replace(snapshots=(*record.snapshots, saved)))


def listed(layout: Layout, volume: str) -> list[SnapshotRecord]:
    """See :meth:`archipelago.contract.volumes.Snapshots.snapshots`."""
    record = require(layout, volume)
    return [
        SnapshotRecord(volume, saved.name, saved.size, saved.taken, clones(layout, volume, [saved]))
        for saved in record.snapshots
    ]


def clones(layout: Layout, volume: str, snapshots: list[Saved] | tuple[Saved, ...]) -> list[str]:
    """The volumes that need data of *snapshots* of *volume*. A reflink needs nothing of what it was made of."""
    tops = {saved.chain[0] for saved in snapshots}
    if not tops:
        return []
    return sorted(
        {
            record.name
            for pool, kind, record in records.everything(layout)
            if tops & record.files() and (pool.pool, kind, record.name) != (layout.pool, "volumes", volume)
        }
    )


def roll_back(layout: Layout, volume: str, name: str) -> None:
    """See :meth:`archipelago.contract.volumes.Snapshots.roll_back`. It is one step: there is no moment of a mixture."""
    with named(layout, volume):
        record = require(layout, volume)
        saved = record.snapshot(name)
        if saved is None:
            raise RequestError(
                f"volume {volume} has no snapshot {name!r}",
                hint=f"`archipelago snapshot list {volume}` shows what there is",
            )
        openings.refuse_attached(layout, volume)
        with referring(layout), data.duplicate(layout, volume, saved.chain, saved.size) as chain:
            data.promise_removal(layout, record.chain)
            records.write(layout, "volumes", record._replace(chain=chain))
    data.collect(layout)


def remove(layout: Layout, volume: str, name: str) -> bool:
    """See :meth:`archipelago.contract.volumes.Snapshots.remove_snapshot`. Data that others need stay until they go."""
    with named(layout, volume):
        record = records.read(layout, "volumes", volume)
        saved = record and record.snapshot(name)
        if record is None or saved is None:
            return False
        data.promise_removal(layout, saved.chain)
        kept = tuple(entry for entry in record.snapshots if entry is not saved)
        records.write(layout, "volumes", record._replace(snapshots=kept))
    data.collect(layout)
    return True
