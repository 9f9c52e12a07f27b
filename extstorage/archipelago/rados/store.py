# SPDX-License-Identifier: BSD-2-Clause
"""The store of the driver ``rados``: each method is a function of the module that has its one idea."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from archipelago.parameters import Settings
from archipelago.rados import volumes
from archipelago.rados.cluster import Cluster, connected
from archipelago.store import Content, Draft, Parent, Reader


class RadosStore:
    """See the protocols in :mod:`archipelago.store`."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.settings = cluster.settings

    def check(self) -> None:
        self.cluster.pool  # noqa: B018 - opening it is the check

    def create(self, name: str, size: int, parent: Parent | None) -> None:
        volumes.create(self.cluster, name, size, parent)

    def require(self, name: str) -> None:
        volumes.check(self.cluster, name)

    def require_parent(self, parent: Parent) -> None:
        volumes.require_parent(self.cluster, parent)

    def grow(self, name: str, size: int) -> None:
        volumes.grow(self.cluster, name, size)

    def set_metadata(self, name: str, text: str) -> None:
        volumes.set_metadata(self.cluster, name, text)

    def copy_for_export(self, name: str, copy: str) -> None:
        volumes.snapshot(self.cluster, name, copy)

    def remove(self, name: str) -> None:
        volumes.remove(self.cluster, name)

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
        from archipelago.rados import records

        return records.locked(self.cluster)

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


@contextmanager
def opened(settings: Settings) -> Iterator[RadosStore]:
    """The store in the cluster that *settings* name."""
    with connected(settings) as cluster:
        yield RadosStore(cluster)
