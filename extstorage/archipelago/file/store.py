# SPDX-License-Identifier: BSD-2-Clause
"""The store of the driver ``file``: each method is a function of the module that has its one idea."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property

from archipelago.contract.contents import Content, Draft, Reader
from archipelago.contract.openings import Opened, Opening
from archipelago.contract.volumes import Parent, Progress, Removal, SnapshotRecord, TrashRecord, VolumeRecord
from archipelago.file import openings, volumes
from archipelago.file.layout import Layout, of_images, of_volumes, prepared
from archipelago.file.words import explained
from archipelago.parameters import Settings

# The imports within the methods are late because Ganeti's scripts need few of these modules.


class FileStore:
    """See the protocols in :mod:`archipelago.contract`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def _volumes(self) -> Layout:
        return prepared(of_volumes(self.settings))

    @cached_property
    def _images(self) -> Layout:
        return prepared(of_images(self.settings))

    def check(self) -> None:
        from archipelago.file import qemu

        self._volumes  # noqa: B018 - looking for it is the check
        qemu.refuse_unsound()

    def create(self, name: str, size: int, parent: Parent | None, cluster: str) -> None:
        volumes.create(self.settings, name, size, parent, cluster)

    def adopt(self, old: str, name: str, size: int, cluster: str) -> None:
        volumes.adopt(self._volumes, old, name, size, cluster)

    def names(self) -> list[str]:
        from archipelago.file import records

        return records.names(self._volumes, "volumes")

    def describe(self, name: str) -> VolumeRecord:
        from archipelago.file import describing

        return describing.describe(self._volumes, name)

    def require(self, name: str) -> None:
        volumes.require(self._volumes, name)

    def require_parent(self, parent: Parent) -> None:
        volumes.parent_of(self.settings, parent)

    def grow(self, name: str, size: int) -> None:
        volumes.grow(self._volumes, name, size)

    def set_metadata(self, name: str, text: str) -> None:
        volumes.set_owner(self._volumes, name, text)

    def copy_for_export(self, name: str, copy: str) -> None:
        volumes.copy_for_export(self.settings, name, copy)

    def rename(self, name: str, new: str) -> None:
        volumes.rename(self._volumes, name, new)

    def flatten(self, name: str, progress: Progress) -> None:
        from archipelago.file import flattening

        flattening.flatten(self._volumes, name, progress)

    def remove(self, name: str) -> Removal:
        from archipelago.file import records

        record = records.read(self._volumes, "volumes", name)
        if record is not None and record.snapshots:
            self.trash(name)
            return "trashed"
        return "removed" if volumes.remove(self._volumes, name) else "absent"

    def moving(self, name: str) -> str:
        return volumes.moving(self._volumes, name)

    def set_moving(self, name: str, text: str) -> None:
        volumes.set_moving(self._volumes, name, text)

    def take_snapshot(self, volume: str, name: str) -> None:
        from archipelago.file import snapshots

        snapshots.take(self._volumes, volume, name)

    def snapshots(self, volume: str) -> list[SnapshotRecord]:
        from archipelago.file import snapshots

        return snapshots.listed(self._volumes, volume)

    def roll_back(self, volume: str, name: str, progress: Progress) -> None:
        from archipelago.file import snapshots

        snapshots.roll_back(self._volumes, volume, name)
        progress(100)

    def remove_snapshot(self, volume: str, name: str) -> bool:
        from archipelago.file import snapshots

        return snapshots.remove(self._volumes, volume, name)

    def trash(self, name: str) -> None:
        from archipelago.file import trash

        trash.put(self._volumes, name, self.settings.keep_days)

    def trashed(self) -> list[TrashRecord]:
        from archipelago.file import trash

        return trash.listed(self._volumes)

    def restore(self, entry: TrashRecord) -> None:
        from archipelago.file import trash

        trash.restore(self._volumes, entry)

    def purge(self, entry: TrashRecord) -> bool:
        from archipelago.file import trash

        return trash.purge(self._volumes, entry)

    def maintaining(self) -> AbstractContextManager[None]:
        from archipelago.file import maintaining

        return maintaining.maintaining(self._volumes)

    def too_deep(self) -> list[str]:
        from archipelago.file import maintaining

        return maintaining.too_deep(self._volumes, self.settings.max_depth)

    def leftovers(self, older_s: float) -> list[str]:
        return volumes.leftovers(self._volumes, older_s)

    def sweep(self, name: str) -> None:
        from archipelago.file import maintaining

        maintaining.sweep(self._volumes, name)

    def record(self, name: str) -> str | None:
        from archipelago.file import contents

        return contents.catalogued(self._images, name)

    def records(self) -> dict[str, str]:
        from archipelago.file import contents

        return contents.catalogue(self._images)

    def swap_record(self, name: str, old: str | None, new: str | None) -> bool:
        from archipelago.file import contents

        return contents.swap(self._images, name, old, new)

    def catalogue_locked(self) -> AbstractContextManager[None]:
        from archipelago.file import contents

        return contents.locked(self._images)

    def drafted(self, name: str, sha256: str, size: int, base: Content | None) -> AbstractContextManager[Draft]:
        from archipelago.file import contents

        return contents.drafted(self._images, name, sha256, size, base)

    def clone_content(self, name: str, parent: Parent, sha256: str, blocks: bytes) -> Content:
        from archipelago.file import contents

        return contents.clone_content(self.settings, self._images, name, parent, sha256, blocks)

    def blocks(self, content: Content) -> bytes:
        from archipelago.file import contents

        return contents.blocks(self._images, content)

    def reading(self, parent: Parent) -> AbstractContextManager[Reader]:
        from archipelago.file import reading

        return reading.reading(self.settings, parent)

    def shown(self, parent: Parent) -> AbstractContextManager[list[str]]:
        from archipelago.file import reading

        return reading.shown(self.settings, parent)

    def contents(self) -> list[Content]:
        from archipelago.file import contents

        return contents.contents(self._images)

    def children(self, content: Content) -> list[str]:
        from archipelago.file import contents

        return contents.children(self._images, content)

    def remove_content(self, content: Content) -> bool:
        from archipelago.file import contents

        return contents.remove_content(self._images, content)

    def sweep_contents(self) -> None:
        from archipelago.file import contents

        contents.sweep(self._images)

    def drop_strangers(self, name: str) -> None:
        openings.drop_strangers(self._volumes, name)

    def openings(self, name: str) -> list[Opening]:
        return openings.openings(self._volumes, name)

    def open_volume(self, name: str, *, exclusive: bool) -> Opened:
        volumes.require(self._volumes, name)
        return openings.open_volume(self._volumes, name, exclusive=exclusive)

    def renew_opening(self, name: str) -> bool:
        return openings.serves(self._volumes, name)

    def close_volume(self, name: str) -> None:
        openings.close_volume(self._volumes, name)


@contextmanager
def opened(settings: Settings) -> Iterator[FileStore]:
    """The store in the shared folder that *settings* name."""
    with explained(settings.folder):
        yield FileStore(settings)
