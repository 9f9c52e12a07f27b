# SPDX-License-Identifier: BSD-2-Clause
"""What images are made of, and the records of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from archipelago.contract.volumes import Parent


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
