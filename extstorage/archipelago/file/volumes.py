# SPDX-License-Identifier: BSD-2-Clause
"""Volumes: what the verbs do in the shared folder. Sizes are in bytes.

See :class:`archipelago.contract.volumes.Volumes`.
"""

from __future__ import annotations

import datetime
import os
import time

from archipelago.catalogue import images
from archipelago.contract.volumes import Parent
from archipelago.file import data, openings, records
from archipelago.file.layout import Layout, of_images, of_volumes, prepared
from archipelago.file.locks import is_held, named, referring
from archipelago.file.moments import moment
from archipelago.file.records import Record, Saved
from archipelago.parameters import Settings
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.volume import MIB, instance_of


def now() -> str:
    """The time, as it is kept."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def require(layout: Layout, name: str) -> Record:
    """The record of volume *name*. Raises RequestError when there is none."""
    record = records.read(layout, "volumes", name)
    if record is None:
        raise RequestError(
            f"there is no volume {name} in {layout.path()}",
            hint="`archipelago volume list` lists what there is; see archipelago.toml(5) for where it is looked for",
        )
    return record


def parent_of(settings: Settings, parent: Parent) -> tuple[Layout, Saved]:
    """Where *parent* is, and its data. Raises RequestError when it is not there."""
    layout = prepared(of_images(settings) if parent.of_image else of_volumes(settings))
    if parent.of_image:
        record = records.read(layout, "images", f"{parent.holder}@{parent.snapshot}")
    else:
        record = records.read(layout, "volumes", parent.holder)
    saved = record and record.snapshot(parent.snapshot)
    if saved is None:
        if parent.of_image:
            raise images.missing(parent.text)
        raise RequestError(
            f"there is no snapshot {parent.snapshot} of a volume {parent.holder}",
            hint=f"`archipelago snapshot list {parent.holder}` shows what there is",
        )
    return layout, saved


def create(settings: Settings, name: str, size: int, parent: Parent | None, cluster: str) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.create`.

    A volume that exists is refused: Ganeti's recreate-disks does not remove it first, and what it holds is not ours to
    drop.
    """
    layout = prepared(of_volumes(settings))
    data.collect(layout)
    with named(layout, name):
        _refuse_existing(layout, name)
        if parent is None:
            with data.drafted(layout, name, "raw") as file:
                data.make_blank(layout, file, size)
                records.write(layout, "volumes", Record(name, (file,), now(), now(), cluster=cluster))
            return
        holder, _ = parent_of(settings, parent)
        with referring(holder):
            _, saved = parent_of(settings, parent)
            images.refuse_too_large(parent, saved.size, at_most=size)
            with data.duplicate(layout, name, saved.chain, size) as chain:
                record = Record(name, chain, now(), now(), origin=parent.text, cluster=cluster)
                records.write(layout, "volumes", record)


def _refuse_existing(layout: Layout, name: str) -> None:
    if records.read(layout, "volumes", name) is not None:
        raise RequestError(
            f"volume {name} exists already",
            hint="if nobody needs its content, run `gnt-instance deactivate-disks` for its instance and "
            f"`archipelago volume remove --force {name}`, and try again",
        )


def grow(layout: Layout, name: str, size: int) -> None:
    """Make volume *name* at least *size* large.

    An overlay that is attached is grown by the daemon that has it open, when this node's mapping is told the new size.
    """
    with named(layout, name):
        head = layout.data(require(layout, name).chain[0])
        if data.size_of(head) >= size:
            return
        hosts = openings.attached(layout, name) if data.format_of(head) == "qcow2" else []
        if not hosts:
            data.make_larger(head, size)
        elif openings.this_host() not in hosts:
            raise StorageError(
                f"volume {name} is an overlay and attached on {', '.join(hosts)}: it can be grown there alone",
                hint="run `gnt-instance grow-disk`, which does so on the primary node of the instance",
            )


def set_owner(layout: Layout, name: str, text: str) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.set_metadata`."""
    with named(layout, name):
        records.write(layout, "volumes", require(layout, name)._replace(owner=text))


def moving(layout: Layout, name: str) -> str:
    """See :meth:`archipelago.contract.openings.Moves.moving`."""
    record = records.read(layout, "volumes", name)
    return "" if record is None else record.moving


def set_moving(layout: Layout, name: str, text: str) -> None:
    """See :meth:`archipelago.contract.openings.Moves.set_moving`."""
    with named(layout, name):
        record = require(layout, name) if text else records.read(layout, "volumes", name)
        if record is not None and record.moving != text:
            records.write(layout, "volumes", record._replace(moving=text))


def copy_for_export(settings: Settings, name: str, copy: str) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.copy_for_export`."""
    layout = prepared(of_volumes(settings))
    require(layout, name)
    remove(layout, copy)
    with named(layout, name, copy):
        record = require(layout, name)
        size = data.size_of(layout.data(record.chain[0]))
        with moment(layout, record, copy) as (chain, is_own):
            new = Record(copy, chain, now(), now(), origin=record.origin, cluster=record.cluster)
            if is_own:
                records.write(layout, "volumes", new)
            else:
                with data.duplicate(layout, copy, chain, size) as own:
                    records.write(layout, "volumes", new._replace(chain=own))


def rename(layout: Layout, name: str, new: str, cluster: str = "") -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.rename`."""
    with named(layout, name, new):
        record = records.read(layout, "volumes", name)
        there = records.read(layout, "volumes", new)
        if record is None and there is not None and there.before == name:
            return
        record = require(layout, name)
        _refuse_existing(layout, new)
        openings.refuse_attached(layout, name)
        record = record._replace(name=new, before=name, cluster=cluster, named=now())
        records.write(layout, "volumes", record, name)
        os.rename(records.path(layout, "volumes", name), records.path(layout, "volumes", new))


def adopt(layout: Layout, old: str, name: str, size: int, cluster: str) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.adopt`."""
    record = records.read(layout, "volumes", old)
    if record is not None:
        held = data.size_of(layout.data(record.chain[0]))
        if held > size:
            raise RequestError(
                f"volume {old} is {-(-held // MIB)} MiB large and does not fit into {size // MIB} MiB",
                hint="give the disk the size of the volume: no volume is ever made smaller",
            )
        if record.owner:
            raise RequestError(
                f"volume {old} is a disk of {instance_of(record.owner)}",
                hint=f"remove it from there with `gnt-instance modify --disk N:remove`, then bring it back: "
                f"archipelago trash restore {old}",
            )
        openings.refuse_attached(layout, old)
        grow(layout, old, size)
    rename(layout, old, name, cluster)


def remove(layout: Layout, name: str) -> bool:
    """Remove volume *name* and its data that nothing else needs; False when there was none. It has no snapshots."""
    with named(layout, name):
        openings.refuse_attached(layout, name)
        record = records.read(layout, "volumes", name)
        records.forget_drafts(layout, "volumes", name)
        if record is not None:
            drop(layout, "volumes", record, name)
    data.collect(layout)
    return record is not None


def drop(layout: Layout, kind: str, record: Record, name: str) -> None:
    """Remove *record*; the next :func:`~archipelago.file.data.collect` removes of its data what nothing refers to."""
    data.promise_removal(layout, record.files())
    os.unlink(records.path(layout, kind, name))


def leftovers(layout: Layout, older_s: float) -> list[str]:
    """See :meth:`archipelago.contract.volumes.Maintenance.leftovers`."""
    found = set()
    for entry in os.listdir(layout.path("making")):
        path = layout.path("making", entry)
        try:
            if time.time() - os.stat(path).st_mtime >= older_s and not is_held(path):
                found.add(entry.rsplit(".", 2)[0])
        except FileNotFoundError:
            continue
    return sorted(found)
