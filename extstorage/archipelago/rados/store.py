# SPDX-License-Identifier: BSD-2-Clause
"""The store of the driver ``rados``: each method is a function of the module that has its one idea.

The modules that ``create`` and ``attach`` do without are imported when they are needed: loading them takes time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from archipelago.contract.contents import Content, Draft, Reader
from archipelago.contract.openings import Opened, Opening
from archipelago.contract.volumes import Parent, Progress, Removal, SnapshotRecord, TrashRecord, VolumeRecord
from archipelago.parameters import Settings
from archipelago.rados import volumes
from archipelago.rados.cluster import Cluster, connected


class RadosStore:
    """See the protocols in :mod:`archipelago.contract`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.settings = cluster.settings

    # Volumes

    def check(self) -> None:
        self.cluster.check()

    def create(self, name: str, size: int, parent: Parent | None, cluster: str) -> None:
        volumes.create(self.cluster, name, size, parent, cluster)

    def adopt(self, old: str, name: str, size: int, cluster: str) -> None:
        volumes.adopt(self.cluster, old, name, size, cluster)

    def names(self) -> list[str]:
        from archipelago.rados import describing

        return describing.names(self.cluster)

    def describe(self, name: str) -> VolumeRecord:
        from archipelago.rados import describing

        return describing.describe(self.cluster, name)

    def require(self, name: str) -> None:
        volumes.check(self.cluster, name)

    def require_parent(self, parent: Parent) -> None:
        volumes.require_parent(self.cluster, parent)

    def grow(self, name: str, size: int) -> None:
        volumes.grow(self.cluster, name, size)

    def set_metadata(self, name: str, text: str) -> None:
        volumes.set_metadata(self.cluster, name, text)

    def copy_for_export(self, name: str, copy: str) -> None:
        from archipelago.rados import exporting, removal

        removal.remove(self.cluster, copy)
        exporting.copy(self.cluster, name, copy)

    def rename(self, name: str, new: str) -> None:
        volumes.rename(self.cluster, name, new)

    def flatten(self, name: str, progress: Progress) -> None:
        from archipelago.rados import depth

        depth.flatten(self.cluster, name, progress)

    def remove(self, name: str) -> Removal:
        from archipelago.rados import removal

        return removal.remove(self.cluster, name)

    # Snapshots

    def take_snapshot(self, volume: str, name: str) -> None:
        from archipelago.rados import snapshots

        snapshots.take(self.cluster, volume, name)

    def snapshots(self, volume: str) -> list[SnapshotRecord]:
        from archipelago.rados import snapshots

        return snapshots.records(self.cluster, volume)

    def roll_back(self, volume: str, name: str, progress: Progress) -> None:
        from archipelago.rados import snapshots

        snapshots.roll_back(self.cluster, volume, name, progress)

    def remove_snapshot(self, volume: str, name: str) -> bool:
        from archipelago.rados import snapshots

        return snapshots.remove(self.cluster, volume, name)

    # Trash

    def trash(self, name: str) -> None:
        from archipelago.rados import removal

        removal.trash(self.cluster, name)

    def trashed(self) -> list[TrashRecord]:
        from archipelago.rados import trash

        return trash.records(self.cluster)

    def restore(self, entry: TrashRecord) -> None:
        from archipelago.rados import trash

        trash.restore(self.cluster, entry)

    def purge(self, entry: TrashRecord) -> bool:
        from archipelago.rados import trash

        return trash.purge(self.cluster, entry)

    # Maintenance

    def maintaining(self) -> AbstractContextManager[None]:
        from archipelago.rados import maintaining

        return maintaining.maintaining(self.cluster)

    def too_deep(self) -> list[str]:
        from archipelago.rados import depth

        return depth.too_deep(self.cluster)

    def leftovers(self, older_s: float) -> list[str]:
        from archipelago.rados import describing

        return describing.leftovers(self.cluster, older_s)

    def sweep(self, name: str) -> None:
        from archipelago.rados import describing

        describing.sweep(self.cluster, name)

    # What stands below but for `record` is not on the way of any script of Ganeti, and imported when it is used.

    def record(self, name: str) -> str | None:
        from archipelago.rados import records

        return records.record(self.cluster, name)

    def records(self) -> dict[str, str]:
        from archipelago.rados import records

        return records.records(self.cluster)

    def swap_record(self, name: str, old: str | None, new: str | None) -> bool:
        from archipelago.rados import records

        return records.swap_record(self.cluster, name, old, new)

    def catalogue_locked(self) -> AbstractContextManager[None]:
        from archipelago.rados import cataloguing

        return cataloguing.locked(self.cluster)

    def drafted(self, name: str, sha256: str, size: int, base: Content | None) -> AbstractContextManager[Draft]:
        from archipelago.rados import drafts

        return drafts.drafted(self.cluster, name, sha256, size, base)

    def clone_content(self, name: str, parent: Parent, sha256: str, blocks: bytes) -> Content:
        from archipelago.rados import contents

        return contents.clone(self.cluster, name, parent, sha256, blocks)

    def blocks(self, content: Content) -> bytes:
        from archipelago.rados import contents

        return contents.read_blocks(self.cluster, content)

    def reading(self, parent: Parent) -> AbstractContextManager[Reader]:
        from archipelago.rados import contents

        return contents.reading(self.cluster, parent)

    def shown(self, parent: Parent) -> AbstractContextManager[list[str]]:
        from archipelago.rados import contents

        return contents.shown(self.cluster, parent)

    def contents(self) -> list[Content]:
        from archipelago.rados import contents

        return contents.contents(self.cluster)

    def children(self, content: Content) -> list[str]:
        from archipelago.rados import contents

        return contents.children(self.cluster, content)

    def remove_content(self, content: Content) -> bool:
        from archipelago.rados import contents

        return contents.remove(self.cluster, content)

    def sweep_contents(self) -> None:
        from archipelago.rados import contents

        contents.sweep(self.cluster)

    # Moves

    def moving(self, name: str) -> str:
        from archipelago.rados import moving

        return moving.moving(self.cluster, name)

    def set_moving(self, name: str, text: str) -> None:
        from archipelago.rados import moving

        moving.set_moving(self.cluster, name, text)

    def drop_strangers(self, name: str) -> None:
        from archipelago.rados import moving

        moving.drop_strangers(self.cluster, name)

    # Openings

    def openings(self, name: str) -> list[Opening]:
        from archipelago.rados import openings

        return openings.openings(self.cluster, name)

    def open_volume(self, name: str, *, exclusive: bool) -> Opened:
        from archipelago.rados import openings

        return openings.open_volume(self.cluster, name, exclusive=exclusive)

    def renew_opening(self, name: str) -> bool:
        from archipelago.rados import openings

        return openings.renew(self.cluster, name)

    def close_volume(self, name: str) -> None:
        from archipelago.rados import openings

        openings.close_volume(self.cluster, name)


@contextmanager
def opened(settings: Settings) -> Iterator[RadosStore]:
    """The store in the cluster that *settings* name."""
    with connected(settings) as cluster:
        yield RadosStore(cluster)
