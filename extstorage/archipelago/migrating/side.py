# SPDX-License-Identifier: BSD-2-Clause
"""One side of a move: a volume in the old or in the new place, and what this node has of it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from archipelago import attaching, opening
from archipelago.mapping import choosing
from archipelago.migrating import place
from archipelago.store import Store, opened
from ganeti_cloud.errors import StorageError
from ganeti_cloud.volume import Attachment


class Side:
    """*volume* in the place that the disk parameters *parameters*, which are explicit, say. All can be repeated."""

    def __init__(self, volume: str, parameters: Mapping[str, str]) -> None:
        self.volume = volume
        self.shown = place.shown(parameters, volume)
        self._settings = place.at(parameters)

    @contextmanager
    def store(self) -> Iterator[Store]:
        """The store of this side."""
        with opened(self._settings) as store:
            yield store

    def set_mark(self, text: str) -> None:
        """Keep *text* as the mark of the volume; an empty one takes it away."""
        with self.store() as store:
            store.set_moving(self.volume, text)

    def device(self) -> str | None:
        """The volume's device on this node, if it has one."""
        mapped = choosing.find(self._settings, self.volume)
        return None if mapped is None else mapped.device

    def attach(self) -> str:
        """The volume's device on this node, made if need be."""
        device = Attachment.decode(attaching.attach(self.volume, self._settings, {})).device
        if device is None:
            raise StorageError(
                f"this node has no block device for volume {self.volume} in "
                f"{self._settings.driver}:{self._settings.pool}",
                hint="see [attach] map in archipelago.toml(5)",
            )
        return device

    def open(self) -> None:
        """Have the volume open on this node and on no other: one that had it and died, or was cut off, is fenced."""
        opening.open_volume(self.volume, self._settings, exclusive=True, by_mover=True)

    def detach(self) -> None:
        """Take the volume from this node, and close it."""
        attaching.detach(self.volume, self._settings)

    def lead(self, link: str) -> None:
        """Let Ganeti's *link* to the disk lead to the device of this side, in one step."""
        device = self.device()
        assert device is not None
        if os.path.islink(link) and os.readlink(link) == device:
            return
        temporary = f"{link}.new"
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        os.symlink(device, temporary)
        os.replace(temporary, link)
