# SPDX-License-Identifier: BSD-2-Clause
"""What is kept of a volume beside its data: one small JSON file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from archipelago.file.layout import HOLDERS, Layout
from ganeti_cloud.errors import StorageError
from ganeti_cloud.files import replace_file

Chain = tuple[str, ...]


class Saved(NamedTuple):
    """A snapshot: its *chain* of data, top first, its *size* in bytes, when it was *taken* (ISO 8601, UTC)."""

    name: str
    chain: Chain
    size: int
    taken: str


class Record(NamedTuple):
    """A volume. Its *chain* is the files with its data, top first; each but the last is an overlay over the next.

    *named* is when it was made, or adopted, as what it is called, and *before* is the name that it had; *removed* and
    *kept_until* are about its time in the trash; *moving* is its mark while it moves to another place. Times are ISO
    8601, in UTC.
    """

    name: str
    chain: Chain
    created: str
    named: str
    before: str = ""
    origin: str = ""
    owner: str = ""
    cluster: str = ""
    removed: str = ""
    kept_until: str = ""
    moving: str = ""
    snapshots: tuple[Saved, ...] = ()

    def encode(self) -> str:
        """The text of the file."""
        return json.dumps({**self._asdict(), "snapshots": [entry._asdict() for entry in self.snapshots]}, indent=1)

    @classmethod
    def decode(cls, text: str) -> Record:
        """The reverse of :meth:`encode`. Raises ValueError, KeyError or TypeError when it is none."""
        values = json.loads(text)
        snapshots = tuple(Saved(**{**entry, "chain": tuple(entry["chain"])}) for entry in values["snapshots"])
        return cls(**{**values, "chain": tuple(values["chain"]), "snapshots": snapshots})

    def snapshot(self, name: str) -> Saved | None:
        """Its snapshot called *name*."""
        return next((entry for entry in self.snapshots if entry.name == name), None)

    def files(self) -> set[str]:
        """All data that it needs."""
        return {file for chain in (self.chain, *(entry.chain for entry in self.snapshots)) for file in chain}


def path(layout: Layout, kind: str, name: str) -> str:
    """Where the record of *name* is, among those of *kind*: volumes, images or trash."""
    return layout.path(kind, f"{name}.json")


def read(layout: Layout, kind: str, name: str) -> Record | None:
    """The record of *name*; None when there is none. Raises StorageError when it is damaged."""
    where = path(layout, kind, name)
    try:
        with open(where, encoding="utf-8") as stream:
            return Record.decode(stream.read())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as err:
        raise StorageError(
            f"{where} is damaged: {err!r}", hint="put it back from a backup; the data it names are not touched"
        ) from err


def write(layout: Layout, kind: str, record: Record, name: str | None = None) -> None:
    """Make *record* what holds for its name (or *name*), in one durable step."""
    replace_file(Path(path(layout, kind, name or record.name)), record.encode(), mode=0o600)


def names(layout: Layout, kind: str) -> list[str]:
    """The names of all records of *kind*, sorted."""
    listed = os.listdir(layout.path(kind))
    return sorted(name.removesuffix(".json") for name in listed if name.endswith(".json") and name[0] != ".")


def everything(layout: Layout) -> Iterator[tuple[Layout, str, Record]]:
    """Every record in the shared folder, of all pools, with the kind it is of."""
    for pool in layout.pools():
        for kind in HOLDERS:
            for name in names(pool, kind):
                record = read(pool, kind, name)
                if record is not None:  # gone since it was listed
                    yield pool, kind, record


def forget_drafts(layout: Layout, kind: str, name: str) -> None:
    """Remove what a writer of the record of *name* left when it was killed. Its lock must be held."""
    start = f".{name}.json."
    for entry in os.listdir(layout.path(kind)):
        if entry.startswith(start) and entry.endswith(".tmp"):
            os.unlink(layout.path(kind, entry))
