# SPDX-License-Identifier: BSD-2-Clause
"""Chains of clones, and making them shorter.

Each level of a chain costs 3 ms whenever a volume is opened, and the kernel's client stops at 16 levels. Each clone
keeps its depth beside it; what is deeper than it may be stands in the omap of one object, by the id of its image,
because that stays the same when a volume gets another name.
"""

from __future__ import annotations

import rados
import rbd

from archipelago.contract.volumes import Progress
from archipelago.rados import metadata
from archipelago.rados.cluster import Cluster, explained
from archipelago.rados.metadata import DEPTH_KEY, MAP_KEY, image_name
from archipelago.rados.volumes import DEEP_OBJECT, opened
from ganeti_cloud.volume import UNFINISHED_SUFFIX

_OBJECT_MAP = rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF

# One chain cannot be longer and open at all.
_MOST = 1000


def too_deep(cluster: Cluster) -> list[str]:
    """See :meth:`archipelago.contract.volumes.Maintenance.too_deep`.

    What need not be on the list any more is taken off it.
    """
    found = []
    for identity in _listed(cluster.pool):
        name = image_name(cluster.pool, identity)
        if name is not None and name.endswith(UNFINISHED_SUFFIX):
            continue  # it is being made
        levels = _levels(cluster, identity) if name is not None else 0
        if name is not None and levels > cluster.settings.max_depth:
            found.append((levels, name))
        else:
            _done(cluster, identity, levels)
    return [name for _, name in sorted(found)]


def flatten(cluster: Cluster, name: str, progress: Progress) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.flatten`."""

    def on_progress(done: int, total: int) -> int:
        progress(100 * done / total if total else 100)
        return 0

    with opened(cluster, name) as image:
        identity = image.id()
        _drop_object_map(cluster, identity, image)
        try:
            image.flatten(on_progress=on_progress)
        except rbd.InvalidArgument:
            pass  # it has no parent
        except rbd.Error as err:
            raise explained(err, cluster.settings) from err  # here, so that it does not keep others from their turn
        _restore_object_map(cluster, identity, image)
    _done(cluster, identity, 0)


def _drop_object_map(cluster: Cluster, identity: str, image: rbd.Image) -> None:
    """Take the object map away, and note that it was there.

    A client notes an object in the map before it writes it. One that dies in between, in the middle of a flatten or of
    a guest's write, leaves an object noted that is not there. It is still read from the parent then; but the flatten
    of Ceph 16.2 believes the map, leaves it out, and its data are lost with the parent. Rebuilding the map does not
    take the note away.
    """
    on = image.features() & _OBJECT_MAP
    if on:
        metadata.write(cluster.pool, identity, {MAP_KEY: str(on)})
        image.update_features(on, False)


def _restore_object_map(cluster: Cluster, identity: str, image: rbd.Image) -> None:
    off = int(metadata.read(cluster.pool, identity).get(MAP_KEY, "0")) & ~image.features()
    if off:
        image.update_features(off, True)
        image.rebuild_object_map()
    metadata.write(cluster.pool, identity, {MAP_KEY: ""})


def _done(cluster: Cluster, identity: str, levels: int) -> None:
    if metadata.read(cluster.pool, identity):
        metadata.write(cluster.pool, identity, {DEPTH_KEY: str(levels)})
    with rados.WriteOpCtx() as write:
        cluster.pool.remove_omap_keys(write, (identity,))
        try:
            cluster.pool.operate_write_op(write, DEEP_OBJECT)
        except rados.ObjectNotFound:
            pass  # nothing was ever too deep


def _listed(pool: rados.Ioctx) -> list[str]:
    with rados.ReadOpCtx() as operation:
        pairs, _ = pool.get_omap_vals(operation, "", "", _MOST)
        try:
            pool.operate_read_op(operation, DEEP_OBJECT)
        except rados.ObjectNotFound:
            return []
        return [identity for identity, _ in pairs]


def _levels(cluster: Cluster, identity: str) -> int:
    """How many images there are below the one with this id, in whatever pools, by their own word."""
    pool = cluster.pool
    for level in range(_MOST):
        try:
            with rbd.Image(pool, image_id=identity, read_only=True) as image:
                parent = image.get_parent_image_spec()
                identity = image.parent_id()
        except rbd.ImageNotFound:
            return level  # the same exception for "no such image" and "no parent"
        pool = cluster.open_pool(parent["pool_name"], parent["pool_namespace"])
    return _MOST
