# SPDX-License-Identifier: BSD-2-Clause
"""One client at a time maintains a store: a lock that ends by itself when its owner has died."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import rados

from archipelago.rados.cluster import Cluster
from archipelago.rados.volumes import DEEP_OBJECT
from archipelago.store import MaintainedElsewhere

_LOCK = "maintenance"
_LASTS_S = 60
_RENEWED_S = 15.0

# LIBRADOS_LOCK_FLAG_MAY_RENEW
_RENEW = 1


@contextmanager
def maintaining(cluster: Cluster) -> Iterator[None]:
    """See :meth:`archipelago.store.Maintenance.maintaining`."""
    cookie = f"{socket.gethostname()} {os.getpid()}"
    _acquire(cluster, cookie)
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(cluster, cookie, ended), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        ended.set()
        renewer.join()
        _release(cluster, cookie)


def _acquire(cluster: Cluster, cookie: str) -> None:
    try:
        cluster.pool.lock_exclusive(DEEP_OBJECT, _LOCK, cookie, cookie, _LASTS_S)
    except rados.ObjectBusy as err:
        raise MaintainedElsewhere(
            "another node maintains this store just now",
            hint="there is nothing to do; a node that died at it is forgotten after a minute",
        ) from err


def _renew(cluster: Cluster, cookie: str, ended: threading.Event) -> None:
    while not ended.wait(_RENEWED_S):
        try:
            cluster.pool.lock_exclusive(DEEP_OBJECT, _LOCK, cookie, cookie, _LASTS_S, _RENEW)
        except rados.Error:
            pass  # the store is slow: at worst two nodes do what can be done twice


def _release(cluster: Cluster, cookie: str) -> None:
    try:
        cluster.pool.unlock(DEEP_OBJECT, _LOCK, cookie)
    except rados.Error:
        pass  # it ends by itself
