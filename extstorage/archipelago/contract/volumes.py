# SPDX-License-Identifier: BSD-2-Clause
"""Volumes, their snapshots, the trash, and the care that they need."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, NamedTuple, Protocol

from ganeti_cloud.errors import StorageError


class Parent(NamedTuple):
    """What a volume is cloned from. *text* is what the person wrote; the others say where its data are.

    *of_image* tells whether *holder* is where images are or where volumes are.
    """

    text: str
    holder: str
    snapshot: str
    of_image: bool


class VolumeRecord(NamedTuple):
    """What the store knows of a volume.

    *used* is about what it takes itself, without what it shares with its origin. Times are ISO 8601 in UTC:
    *created*, and *named* when it was made, or adopted, as what it is called. *origin* is what a person wrote
    (``debian-12``, ``snapshot:VOLUME@SNAPSHOT``), empty for a blank one. *owner* is what Ganeti said last of whose
    disk it is, *cluster* the Ganeti cluster that it was made for; both may be empty. *depth* is the number of volumes
    and images below it whose data it shares. *snapshots* are those that a person took, *clones* the volumes made of
    any snapshot,
    *opened_by* the hosts that have it open, or say they have.
    """

    name: str
    size: int
    used: int
    created: str
    named: str
    origin: str
    owner: str
    cluster: str
    depth: int
    snapshots: list[str]
    clones: list[str]
    opened_by: list[str]


class SnapshotRecord(NamedTuple):
    """A snapshot that a person took of *volume*: its *size* then, the time (ISO 8601 in UTC), and the volumes made of
    it that still share its data."""

    volume: str
    name: str
    size: int
    taken: str
    clones: list[str]


class TrashRecord(NamedTuple):
    """A volume in the trash.

    *id* tells it from others that had the same *name*. Times are ISO 8601 in UTC: it went there at *removed*, and may
    be purged from *kept_until* on. *snapshots* are those that a person took; while *clones* share data with it, it is
    not purged.
    """

    id: str
    name: str
    removed: str
    kept_until: str
    snapshots: list[str]
    clones: list[str]


# What became of a volume that was removed: there was none, it is gone, it is in the trash.
Removal = Literal["absent", "removed", "trashed"]

# Told the percentage that is done.
Progress = Callable[[float], None]


class Volumes(Protocol):
    """Volumes, as Ganeti's scripts and the administrator need them. Every method can be repeated.

    Methods that take the name of a volume that has to be there raise RequestError when it is not.
    """

    def check(self) -> None:
        """Raise ConfigError when the store that the settings name is not there."""

    def create(self, name: str, size: int, parent: Parent | None, cluster: str) -> None:
        """Make volume *name* of *size*: a clone of *parent* that shares all data with it, or blank. All or nothing.

        *cluster* is the Ganeti cluster that it is made for, and that may collect it as garbage; empty when a person
        makes it. It is kept with the volume, and so is the depth; one that is deeper than ``settings.max_depth`` is
        listed by :meth:`Maintenance.too_deep`. The volume has no owner, whatever its parent had.
        Raises RequestError when the volume exists, when the parent does not, or when it is larger than *size*.
        """

    def adopt(self, old: str, name: str, size: int, cluster: str) -> None:
        """Make volume *old*, with its data and snapshots, the volume *name* of *cluster*, and at least *size* large.

        An interrupted call is completed by the next. Raises RequestError when *name* exists, when *old* does not, has
        an owner, or is larger than *size*, and StorageError when somebody has it open.
        """

    def names(self) -> list[str]:
        """The names of all volumes, sorted. It does not look at any of them, so it is quick with thousands."""

    def describe(self, name: str) -> VolumeRecord:
        """All that is known of volume *name*."""

    def require(self, name: str) -> None:
        """Raise RequestError when there is no volume *name*."""

    def require_parent(self, parent: Parent) -> None:
        """Raise RequestError when *parent* is not there."""

    def grow(self, name: str, size: int) -> None:
        """Make volume *name* at least *size* large; never smaller."""

    def set_metadata(self, name: str, text: str) -> None:
        """Keep *text* (whose volume it is, as Ganeti says) beside volume *name*."""

    def copy_for_export(self, name: str, copy: str) -> None:
        """Make volume *copy* with what *name* holds at this moment. An earlier *copy* is replaced."""

    def rename(self, name: str, new: str) -> None:
        """Call volume *name* by the name *new*, with all that is kept beside it but its cluster: it is a person's now.

        Interrupted, it is completed by the next call. Raises RequestError when *new* exists, and StorageError when
        somebody has the volume open.
        """

    def flatten(self, name: str, progress: Progress) -> None:
        """Give volume *name* all its data, so that it shares none with its origin, and take it off the list of those
        that are too deep. It may be open. Interrupted, it is completed by the next call."""

    def remove(self, name: str) -> Removal:
        """Remove volume *name*, and whatever an interrupted run left of it.

        One with snapshots that a person took goes to the trash with them, for ``settings.keep_days``. One whose data
        clones still share is gone for everybody but them, and its space is freed after the last of them; where that
        needs the trash, it is kept there no longer than for them. Raises StorageError while somebody has it open.
        """


class Snapshots(Protocol):
    """Moments of a volume that a person kept. What the driver itself needs snapshots for does not show here."""

    def take_snapshot(self, volume: str, name: str) -> None:
        """Keep what *volume* holds now as its snapshot *name*.

        The volume may be open and written to: the snapshot is then what a power cut at this moment would leave.
        Raises RequestError when there is no such volume, or when it has a snapshot of that name.
        """

    def snapshots(self, volume: str) -> list[SnapshotRecord]:
        """The snapshots of *volume*, the oldest first. Raises RequestError when there is no such volume."""

    def roll_back(self, volume: str, name: str, progress: Progress) -> None:
        """Make *volume* hold again what it held, and be as large as it was, when its snapshot *name* was taken.

        Interrupted, it is completed by the next call; until then the volume holds a mixture. Raises RequestError when
        there is no such snapshot, and StorageError when somebody has the volume open.
        """

    def remove_snapshot(self, volume: str, name: str) -> bool:
        """Remove the snapshot *name* of *volume*; False when there is none (or no such volume). Clones of it live on
        unharmed. Where the store cannot keep them without it, raises StorageError that names them."""


class Trash(Protocol):
    """Volumes that were removed and can be brought back."""

    def trash(self, name: str) -> None:
        """Put volume *name* into the trash, with its snapshots, for ``settings.keep_days``. Succeeds when there is
        no such volume. Raises StorageError while somebody has it open."""

    def trashed(self) -> list[TrashRecord]:
        """What is in the trash, the oldest removal first. No entry of what only clones keep, such as removed images."""

    def restore(self, entry: TrashRecord) -> None:
        """Make *entry* the volume of its name again. It has no owner and no cluster then, so that it is not collected
        as garbage. Raises RequestError when the name is taken,
        or when the entry is not there any more."""

    def purge(self, entry: TrashRecord) -> bool:
        """Remove *entry* for good, with its snapshots, whether it has expired or not; False when it had gone already.
        Raises StorageError when clones share data with it."""


class MaintainedElsewhere(StorageError):
    """Another client maintains the store: there is nothing to do."""


class Maintenance(Protocol):
    """What has to be done in a store from time to time."""

    def maintaining(self) -> AbstractContextManager[None]:
        """Within the block this is the only client that maintains the store. Raises MaintainedElsewhere when another
        one is at it. A client that died is forgotten within a minute."""

    def too_deep(self) -> list[str]:
        """Volumes that share data through more levels than ``settings.max_depth``, the shallowest first."""

    def leftovers(self, older_s: float) -> list[str]:
        """Names of volumes that were begun and never finished, which nobody works at and nobody touched for *older_s*
        seconds."""

    def sweep(self, name: str) -> None:
        """Remove what was left of beginning volume *name*. Succeeds when there is nothing; leaves a volume of that
        name alone."""
