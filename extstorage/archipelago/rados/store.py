# SPDX-License-Identifier: BSD-2-Clause
"""The store of the driver ``rados``: each method is a function of the module that has its one idea."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archipelago.parameters import Settings
from archipelago.rados import moving, volumes
from archipelago.rados.cluster import Cluster, connected
from archipelago.store import Parent


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

    def moving(self, name: str) -> str:
        return moving.moving(self.cluster, name)

    def set_moving(self, name: str, text: str) -> None:
        moving.set_moving(self.cluster, name, text)

    def names(self):  # INTERIM
        import rbd
        return rbd.RBD().list(self.cluster.pool)

    def describe(self, name):  # INTERIM
        import rbd
        from types import SimpleNamespace
        with rbd.Image(self.cluster.pool, name, read_only=True) as image:
            pairs = dict(image.metadata_list())
            kept = [e["name"] for e in image.list_snaps() if e["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER]
            return SimpleNamespace(size=image.size(), owner=pairs.get("ganeti-cloud.volume.metadata", ""), snapshots=kept, opened_by=[])


@contextmanager
def opened(settings: Settings) -> Iterator[RadosStore]:
    """The store in the cluster that *settings* name."""
    with connected(settings) as cluster:
        yield RadosStore(cluster)
