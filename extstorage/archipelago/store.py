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


class Store(Volumes, Openings, Protocol):
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
