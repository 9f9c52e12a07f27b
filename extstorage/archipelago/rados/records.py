# SPDX-License-Identifier: BSD-2-Clause
"""The catalogue's records: the omap of one object in the pool of the images."""

from __future__ import annotations

import errno

import rados

from archipelago.rados.cluster import Cluster, errno_of

OBJECT = "ganeti-cloud.catalogue"

_PAGE = 500


def record(cluster: Cluster, name: str) -> str | None:
    """See :meth:`archipelago.contract.contents.Contents.record`. One read of one key."""
    pool = cluster.image_pool
    with rados.ReadOpCtx() as read:
        found, _ = pool.get_omap_vals_by_keys(read, (name,))
        try:
            pool.operate_read_op(read, OBJECT)
        except rados.ObjectNotFound:
            return None
        values = dict(found)
    return values[name].decode() if name in values else None


def records(cluster: Cluster) -> dict[str, str]:
    """See :meth:`archipelago.contract.contents.Contents.records`."""
    pool = cluster.image_pool
    all_: dict[str, str] = {}
    last = ""
    while True:
        with rados.ReadOpCtx() as read:
            found, _ = pool.get_omap_vals(read, last, "", _PAGE)
            try:
                pool.operate_read_op(read, OBJECT)
            except rados.ObjectNotFound:
                return all_
            page = {name: value.decode() for name, value in found}
        if not page:
            return all_
        all_ |= page
        last = max(page)


def swap_record(cluster: Cluster, name: str, old: str | None, new: str | None) -> bool:
    """See :meth:`archipelago.contract.contents.Contents.swap_record`.

    Comparison and change are one operation of the OSD.
    """
    pool = cluster.image_pool
    with rados.WriteOpCtx() as write:
        write.new(rados.LIBRADOS_CREATE_IDEMPOTENT)
        write.omap_cmp(name, old or "")  # a key that is not there compares as an empty one
        if new is None:
            pool.remove_omap_keys(write, (name,))
        else:
            pool.set_omap(write, (name,), (new.encode(),))
        try:
            pool.operate_write_op(write, OBJECT)
        except rados.Error as err:
            if errno_of(err) == errno.ECANCELED:
                return False
            raise
    return True
