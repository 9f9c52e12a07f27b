# SPDX-License-Identifier: BSD-2-Clause
"""What a driver offers to the rest of the provider, and the choice of the driver. Sizes are in bytes.

Everything here may raise StorageError when the store does not answer, is full or refuses us, and ConfigError when the
settings name no usable store. What else a method raises stands with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, NamedTuple, Protocol

from archipelago.parameters import Settings
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


class Content(NamedTuple):
    """Where one content of images lies, as :class:`Parent` says; *snapshot* is the SHA-256 of the whole, in hex."""

    holder: str
    snapshot: str


class Draft(Protocol):
    """A content that is being written, by the only writer of its holder.

    *blocks* says what is in it at the beginning, as :meth:`Contents.blocks` does; it is empty for a blank one. Blocks
    beyond the end of that are zeros.
    """

    blocks: bytes

    def write(self, offset: int, data: bytes) -> None:
        """Put *data* at *offset*: one block, or the rest of the content. It may be stored later than this returns, and
        an error of it then comes from a later call."""

    def clear(self, offset: int, length: int) -> None:
        """Make the block at *offset* zeros that take no space; otherwise like :meth:`write`."""

    def keep(self, blocks: bytes) -> Content:
        """Store for good what has been written, with its hashes; once, at the end, under the catalogue's lock.

        When this returns volumes can be cloned from the content. When it raises, or is not called before the block of
        :meth:`Contents.drafted` ends, there is no such content.
        """


class Reader(Protocol):
    """A content or a snapshot of a volume, to be read. *size* is in bytes."""

    size: int

    def extents(self) -> Iterator[tuple[int, int]]:
        """Offset and length of what may be other than zeros, in order and without overlap."""

    def read(self, offset: int, length: int) -> bytes:
        """The *length* bytes at *offset*."""


class Contents(Protocol):
    """What images are made of, and the catalogue's records of them, which are text that no driver looks into.

    A content never changes. It is cut into blocks of :data:`ganeti_cloud.image.BLOCK` bytes, the last one may be
    shorter. A content is stored or not; one that is half written is never seen by :meth:`contents`.
    """

    def record(self, name: str) -> str | None:
        """The record *name*, or None. As quick as the store can: every `create` with an origin asks."""

    def records(self) -> dict[str, str]:
        """All records, by name."""

    def swap_record(self, name: str, old: str | None, new: str | None) -> bool:
        """Make *new* of the record *name* when it is *old*; None stands for no record. False when it was another."""

    def catalogue_locked(self) -> AbstractContextManager[None]:
        """Hold the lock of whoever adds or removes a content. A holder that died loses it within a minute.

        Raises StorageError when somebody else keeps it for longer than that.
        """

    def drafted(self, name: str, sha256: str, size: int, base: Content | None) -> AbstractContextManager[Draft]:
        """Write the content *sha256* of *size* for the image *name*: beside *base*, sharing what is not written.

        Not to be entered under the catalogue's lock, which it takes for a moment. It need not begin as *base* does:
        :attr:`Draft.blocks` tells. What a writer that died left is cleared away first. Raises RequestError when
        somebody else writes there: "image 'NAME' is being imported from HOST".
        """

    def clone_content(self, name: str, parent: Parent, sha256: str, blocks: bytes) -> Content:
        """Make a content for the image *name* of the snapshot *parent* of a volume, without copying; under the lock.

        Raises RequestError when there is no such snapshot.
        """

    def blocks(self, content: Content) -> bytes:
        """The SHA-256 of each block of *content*, 32 bytes each. Raises RequestError when it is not stored."""

    def reading(self, parent: Parent) -> AbstractContextManager[Reader]:
        """Read a content, or a snapshot of a volume. Raises RequestError when it is not there."""

    def shown(self, parent: Parent) -> AbstractContextManager[list[str]]:
        """The arguments by which qemu-nbd opens what :meth:`reading` reads; it has to have opened it within the block.

        Raises RequestError when it is not there.
        """

    def contents(self) -> list[Content]:
        """All contents stored, in the catalogue or not."""

    def children(self, content: Content) -> list[str]:
        """The volumes (and images) that share data with *content*, as a person would name them, sorted."""

    def remove_content(self, content: Content) -> bool:
        """Remove *content* and its hashes; under the lock. Its clones keep their data.

        False when the store cannot let go of it before they are gone: it is stored until this is called again then.
        Succeeds when there is none.
        """

    def sweep_contents(self) -> None:
        """Remove what writers and removers that died have left and nobody uses; under the lock."""


class Opening(NamedTuple):
    """One node's use of a volume: on *host*, *exclusive* or shared, *since* a time (ISO 8601 in UTC)."""

    host: str
    exclusive: bool
    since: str


class Opened(NamedTuple):
    """What opening a volume came to.

    *fenced* are the openings of nodes that died, or were cut off, and whose clients cannot write to it any more.
    *served* tells whether the store sees a client of this node at the volume: a device of this node that is there
    although the store sees none is dead, or was fenced itself.
    """

    fenced: list[Opening]
    served: bool


class Openings(Protocol):
    """Who has a volume open. A volume can be attached without being open; then it is not written to."""

    def openings(self, name: str) -> list[Opening]:
        """The openings of volume *name*, those of nodes that died included until they are fenced."""

    def open_volume(self, name: str, *, exclusive: bool) -> Opened:
        """Have volume *name* open on this node; an earlier opening of it here is replaced.

        When it is *exclusive*, no other node's opening is left: one that was never closed is that of a node which
        died or was cut off, and is fenced. Raises RequestError when there is no such volume, and StorageError when
        another node has it: exclusively, if it is to be shared, or alive, if the store cannot fence it.
        """

    def renew_opening(self, name: str) -> bool:
        """Take note that this node's mapping of volume *name* is a new one, if it has it open here. Returns whether
        the store sees a client of this node at the volume."""

    def close_volume(self, name: str) -> None:
        """Have volume *name* not open on this node. Succeeds when it was not, and when there is no such volume."""


class Moves(Protocol):
    """The mark of a volume that is being moved to another place. It can be read and written while a client that died
    still holds the volume."""

    def moving(self, name: str) -> str:
        """The mark of volume *name*; empty when it has none, or when there is no such volume."""

    def set_moving(self, name: str, text: str) -> None:
        """Give volume *name* the mark *text*; an empty one takes it away. Raises RequestError when *text* is not empty
        and there is no such volume. The mark does not go into the trash, or to clones."""

    def drop_strangers(self, name: str) -> None:
        """See that no mapping on another node keeps volume *name* from being removed. It must not be open there: what
        Ganeti attached and never opened, or never detached, is meant."""


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
