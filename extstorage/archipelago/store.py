# SPDX-License-Identifier: BSD-2-Clause
"""What a driver offers to the rest of the provider, and the choice of the driver. Sizes are in bytes.

Everything here may raise StorageError when the store does not answer, is full or refuses us, and ConfigError when the
settings name no usable store. What else a method raises stands with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Protocol

from archipelago.parameters import Settings


class Parent(NamedTuple):
    """What a volume is cloned from. *text* is what the person wrote; the others say where its data are.

    *of_image* tells whether *holder* is where images are or where volumes are.
    """

    text: str
    holder: str
    snapshot: str
    of_image: bool


class Volumes(Protocol):
    """Volumes, as Ganeti's scripts need them. Every method can be repeated."""

    def check(self) -> None:
        """Raise ConfigError when the store that the settings name is not there."""

    def create(self, name: str, size: int, parent: Parent | None) -> None:
        """Make volume *name* of *size*: a clone of *parent* that shares all data with it, or blank. All or nothing.

        Raises RequestError when the volume exists, when the parent does not, or when it is larger than *size*.
        """

    def require(self, name: str) -> None:
        """Raise RequestError when there is no volume *name*."""

    def require_parent(self, parent: Parent) -> None:
        """Raise RequestError when *parent* is not there."""

    def grow(self, name: str, size: int) -> None:
        """Make volume *name* at least *size* large; never smaller. Raises RequestError when there is none."""

    def set_metadata(self, name: str, text: str) -> None:
        """Keep *text* (whose volume it is, as Ganeti says) beside volume *name*. Raises RequestError as grow does."""

    def copy_for_export(self, name: str, copy: str) -> None:
        """Make volume *copy* with what *name* holds at this moment. An earlier *copy* is replaced."""

    def remove(self, name: str) -> None:
        """Remove volume *name*, and whatever an interrupted run left of it. Succeeds when there is none."""


class Content(NamedTuple):
    """Where one content of images lies: a :class:`Parent` of volumes. *snapshot* is the SHA-256 of the whole, in hex."""

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

    def keep(self, sha256: str, blocks: bytes) -> Content:
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

    def drafted(self, name: str, size: int, base: Content | None) -> AbstractContextManager[Draft]:
        """Write a content of *size* for the image *name*: beside *base*, with which it shares what is not written.

        It need not begin as *base* does: :attr:`Draft.blocks` tells. What a writer that died left is cleared away
        first. Raises RequestError when somebody else writes there: "image NAME is being imported from HOST".
        """

    def clone_content(self, name: str, parent: Parent, sha256: str, blocks: bytes) -> Content:
        """Make a content for the image *name* of the snapshot *parent* of a volume, without copying; under the lock.

        Raises RequestError when there is no such snapshot.
        """

    def blocks(self, content: Content) -> bytes:
        """The SHA-256 of each block of *content*, 32 bytes each. Raises RequestError when it is not stored."""

    def reading(self, parent: Parent) -> AbstractContextManager[Reader]:
        """Read a content, or a snapshot of a volume. Raises RequestError when it is not there."""

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
        """Remove what writers that died have left and nobody writes any more."""


class Moves(Protocol):
    """The mark of a volume that is being moved to another place. It can be read and written while a client that died
    still holds the volume."""

    def moving(self, name: str) -> str:
        """The mark of volume *name*; empty when it has none, or when there is no such volume."""

    def set_moving(self, name: str, text: str) -> None:
        """Give volume *name* the mark *text*; an empty one takes it away. Raises RequestError when *text* is not empty
        and there is no such volume. The mark does not go with a rename, into the trash, or to clones."""


class Store(Volumes, Contents, Moves, Protocol):
    """All that a driver offers."""

    settings: Settings


@contextmanager
def opened(settings: Settings) -> Iterator[Store]:
    """The store that *settings* name; closed at the end of the block."""
    with _driver(settings) as store:
        yield store


def _driver(settings: Settings) -> AbstractContextManager[Store]:
    # The import is late because Ceph's bindings alone take as long to load as all the rest of a script.
    from archipelago.rados import store

    return store.opened(settings)
