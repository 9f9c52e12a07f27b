# SPDX-License-Identifier: BSD-2-Clause
"""What there is of volumes, and what is known of one. Sizes are in bytes."""

from __future__ import annotations

import time

import rados
import rbd

from archipelago.contract.volumes import VolumeRecord
from archipelago.rados import metadata, snapshots
from archipelago.rados.cluster import Cluster, holders
from archipelago.rados.metadata import ADOPTED_KEY, CLUSTER_KEY, DEPTH_KEY, ORIGIN_KEY, OWNER_KEY, image_id
from archipelago.rados.publishing import discard_unfinished, unfinished
from archipelago.rados.volumes import missing, openers
from ganeti_cloud.image import PREFIX
from ganeti_cloud.volume import UNFINISHED_SUFFIX


def names(cluster: Cluster) -> list[str]:
    """See :meth:`archipelago.contract.volumes.Volumes.names`."""
    return sorted(name for name in _listed(cluster) if not name.endswith(UNFINISHED_SUFFIX))


def _listed(cluster: Cluster) -> list[str]:
    return [name for name in rbd.RBD().list(cluster.pool) if not name.startswith(PREFIX)]


def describe(cluster: Cluster, name: str) -> VolumeRecord:
    """See :meth:`archipelago.contract.volumes.Volumes.describe`."""
    pool = cluster.pool
    try:
        with rbd.Image(pool, name, read_only=True) as image:
            pairs = metadata.read(pool, image.id())
            created = snapshots.shown_time(image.create_timestamp())
            return VolumeRecord(
                name=name,
                size=image.size(),
                used=_used(image),
                created=created,
                named=max(created, pairs.get(ADOPTED_KEY, "")),  # a clone inherits the older one of its parent
                origin=pairs.get(ORIGIN_KEY, ""),
                owner=pairs.get(OWNER_KEY, ""),
                cluster=pairs.get(CLUSTER_KEY, ""),
                depth=int(pairs.get(DEPTH_KEY, "0")) if _has_parent(image) else 0,
                snapshots=snapshots.kept(image),
                clones=snapshots.clones(cluster, image),
                opened_by=openers(cluster, name, [watcher["addr"] for watcher in image.watchers_list()]),
            )
    except (rbd.ImageNotFound, rados.ObjectNotFound) as err:
        raise missing(cluster, name) from err


def _used(image: rbd.Image) -> int:
    """What the object map says is there of the image itself, in whole objects."""
    extents: list[int] = []
    image.diff_iterate(
        0,
        image.size(),
        None,
        lambda start, length, data: extents.append(length) if data else None,
        include_parent=False,
        whole_object=True,
    )
    return sum(extents)


def _has_parent(image: rbd.Image) -> bool:
    try:
        image.get_parent_image_spec()
    except rbd.ImageNotFound:
        return False
    return True


def leftovers(cluster: Cluster, older_s: float) -> list[str]:
    """See :meth:`archipelago.contract.volumes.Maintenance.leftovers`."""
    drafts = sorted(name for name in _listed(cluster) if name.endswith(UNFINISHED_SUFFIX))
    return [
        name.removesuffix(UNFINISHED_SUFFIX)
        for name in drafts
        if _age_s(cluster.pool, name) > older_s and not holders(cluster.pool, name)
    ]


def _age_s(pool: rados.Ioctx, name: str) -> float:
    try:
        _, changed = pool.stat(f"rbd_id.{name}")
        return time.time() - time.mktime(changed)  # the binding gives the local time
    except rados.ObjectNotFound:
        return 0.0  # published since it was listed


def sweep(cluster: Cluster, name: str) -> None:
    """See :meth:`archipelago.contract.volumes.Maintenance.sweep`."""
    if image_id(cluster.pool, unfinished(name)) is not None:
        discard_unfinished(cluster, cluster.pool, name)
