# SPDX-License-Identifier: BSD-2-Clause
"""The mark of a volume that is being moved: an extended attribute of the object that has the volume's name.

It is no metadata of the image, because writing those waits for the image's lock, which a dead client holds for half a
minute. The object goes when the volume is removed or put into the trash, and the mark with it.
"""

from __future__ import annotations

import rados

from archipelago.rados.cluster import Cluster, holders, host_of
from archipelago.rados.volumes import check

_KEY = "ganeti-cloud.moving"

# Until then the volume is long gone, and its name is never used again.
_FENCE_S = 3600


def moving(cluster: Cluster, name: str) -> str:
    """See :meth:`archipelago.contract.openings.Moves.moving`."""
    try:
        return cluster.pool.get_xattr(f"rbd_id.{name}", _KEY).decode()
    except (rados.ObjectNotFound, rados.NoData):
        return ""


def set_moving(cluster: Cluster, name: str, text: str) -> None:
    """See :meth:`archipelago.contract.openings.Moves.set_moving`."""
    if text:
        check(cluster, name)
        cluster.pool.set_xattr(f"rbd_id.{name}", _KEY, text.encode())
        return
    try:
        cluster.pool.rm_xattr(f"rbd_id.{name}", _KEY)
    except (rados.ObjectNotFound, rados.NoData):
        pass


def drop_strangers(cluster: Cluster, name: str) -> None:
    """See :meth:`archipelago.contract.openings.Moves.drop_strangers`."""
    for address in holders(cluster.pool, name):
        if host_of(address) != cluster.host:
            cluster.evict(address, _FENCE_S)
