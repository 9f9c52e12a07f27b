# SPDX-License-Identifier: BSD-2-Clause
"""Garbage collection: what is in a store and nobody refers to.

The truth is Ganeti's. A name proves nothing, so nothing here looks at one but to compare it with Ganeti's disks. What
is found goes to the trash, from where it can be brought back.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from typing import Literal, NamedTuple

from archipelago.catalogue import removing
from archipelago.contract.volumes import TrashRecord, VolumeRecord
from archipelago.ganeti.usage import Usage
from archipelago.store import Store
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import SHORT

# The clocks of the nodes and of Ceph may differ by so much.
_CLOCKS_S = 300.0

# What to do with a finding: into the trash, sweep up, remove for good, nothing. Contents of images are removed by
# :func:`contents` itself.
Action = Literal["trash", "sweep", "purge", "stays"]


class Finding(NamedTuple):
    """One thing that no disk, image or clone refers to: what is to be done with *name*, and *why* (or why not).

    *entry* is the one in the trash, for what is to be purged.
    """

    action: Action
    name: str
    why: str
    entry: TrashRecord | None = None


def found(store: Store, names: list[str], usage: Usage, older_s: float) -> list[Finding]:
    """What there is to collect in *store*.

    *names* are the volumes as they were listed before Ganeti was asked for *usage*; what is younger than *older_s*
    seconds is left out.
    """
    now = time.time()
    findings = []
    for name in names:
        if name in usage.disks:
            continue
        try:
            verdict = judged(store.describe(name), usage, now, older_s)
        except RequestError:
            continue  # gone since it was listed
        findings += [verdict] if verdict is not None else []
    findings += [
        Finding("sweep", name, "begun and never finished, nobody works at it") for name in store.leftovers(older_s)
    ]
    return [*findings, *expired(store.trashed(), now)]


def judged(record: VolumeRecord, usage: Usage, now: float, older_s: float) -> Finding | None:
    """What to do with a volume that is no disk of Ganeti; None when it is none of our business (yet)."""
    if not usage.cluster or record.cluster != usage.cluster:
        return None  # made by another cluster, or by a person
    young_since = now - older_s
    if usage.busy_since is not None:
        young_since = min(young_since, usage.busy_since - _CLOCKS_S)
    if _seconds(record.named) >= young_since:
        return None  # a job may be about to give it to an instance
    obstacles = list(_obstacles(record, usage))
    if obstacles:
        return Finding("stays", record.name, f"no disk, but {', '.join(obstacles)}")
    return Finding("trash", record.name, "no disk of any instance, and none that is detached")


def _obstacles(record: VolumeRecord, usage: Usage) -> Iterator[str]:
    if record.opened_by:
        yield f"open on {', '.join(record.opened_by)}"
    if record.clones:
        yield f"shared by clones: {', '.join(record.clones)}"
    if not usage.complete:
        yield "detached disks cannot be seen from this node: ask on the master"


def expired(entries: list[TrashRecord], now: float) -> list[Finding]:
    """What of *entries* in the trash need not be kept any longer."""
    return [
        Finding("stays", entry.name, f"expired in the trash, but shared by clones: {', '.join(entry.clones)}", entry)
        if entry.clones
        else Finding("purge", entry.name, f"in the trash since {entry.removed}, expired at {entry.kept_until}", entry)
        for entry in entries
        if _seconds(entry.kept_until) <= now
    ]


def contents(store: Store, *, dry_run: bool) -> list[Finding]:
    """The contents of images that no name stands for and nobody shares; they are removed unless *dry_run*.

    A content that is being imported is none of them: it is stored and gets its name in one step.
    """
    return [
        Finding("purge", f"{content.holder}@{content.snapshot[:SHORT]}", "no image has this content, and no clone")
        for content in removing.drop_uncatalogued(store, dry_run=dry_run)
    ]


def collect(store: Store, finding: Finding) -> None:
    """Do what *finding* says. It may have been done meanwhile."""
    if finding.action == "trash":
        store.trash(finding.name)
    elif finding.action == "sweep":
        store.sweep(finding.name)
    elif finding.action == "purge" and finding.entry is not None:
        store.purge(finding.entry)


def _seconds(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp()
