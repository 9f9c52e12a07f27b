# SPDX-License-Identifier: BSD-2-Clause
"""Which node has a volume open, and the mark of one that is being moved."""

from __future__ import annotations

from typing import NamedTuple, Protocol


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
