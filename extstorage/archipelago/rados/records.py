# SPDX-License-Identifier: BSD-2-Clause
"""The catalogue's records: the omap of one object in the pool of the images, and the lock on that object."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import rados

from archipelago.rados.cluster import Cluster, errno_of
from ganeti_cloud.errors import StorageError

OBJECT = "ganeti-cloud.catalogue"

_LOCK = "ganeti-cloud"
# A holder renews its lock as long as it lives, so that it lasts as long as needed and no longer.
_LOCK_S = 30
_RENEW_S = 8
_WAIT_S = 120.0
_PAUSE_S = 0.1
_MAY_RENEW = 1  # LIBRADOS_LOCK_FLAG_RENEW, which the bindings do not name

_PAGE = 500


def record(cluster: Cluster, name: str) -> str | None:
    """See :meth:`archipelago.store.Contents.record`. One read of one key."""
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
    """See :meth:`archipelago.store.Contents.records`."""
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
    """See :meth:`archipelago.store.Contents.swap_record`. Comparison and change are one operation of the OSD."""
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


@contextmanager
def locked(cluster: Cluster) -> Iterator[None]:
    """See :meth:`archipelago.store.Contents.catalogue_locked`."""
    pool = cluster.image_pool
    cookie = os.urandom(8).hex()
    _acquire(pool, cookie)
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(pool, cookie, done), daemon=True)
    renewing.start()
    try:
        yield
    finally:
        done.set()
        renewing.join()
        try:
            pool.unlock(OBJECT, _LOCK, cookie)
        except rados.Error:
            pass  # it ends by itself


def _acquire(pool: rados.Ioctx, cookie: str) -> None:
    end = time.monotonic() + _WAIT_S
    while True:
        try:
            pool.lock_exclusive(OBJECT, _LOCK, cookie, socket.gethostname(), _LOCK_S)
        except rados.ObjectBusy as err:
            if time.monotonic() > end:
                raise StorageError(
                    f"somebody else has been changing the catalogue of images for {_WAIT_S:.0f} s",
                    hint=f"`rados -p POOL lock info {OBJECT} {_LOCK}` tells who; try again later",
                ) from err
            time.sleep(_PAUSE_S)
        else:
            return


def _renew(pool: rados.Ioctx, cookie: str, done: threading.Event) -> None:
    while not done.wait(_RENEW_S):
        try:
            pool.lock_exclusive(OBJECT, _LOCK, cookie, socket.gethostname(), _LOCK_S, _MAY_RENEW)
        except rados.Error:
            continue  # what the holder does meanwhile fails for the same reason, and says so
