# SPDX-License-Identifier: BSD-2-Clause
"""Locks on RADOS objects that end by themselves when their owner has died. See rados_lock_exclusive()."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import rados

# An owner renews its lock as long as it lives, so that it lasts as long as needed and no longer.
_LASTS_S = 60
_RENEW_S = 15.0
_PAUSE_S = 0.1
_MAY_RENEW = 1  # LIBRADOS_LOCK_FLAG_MAY_RENEW, which the bindings do not name


@contextmanager
def held(pool: rados.Ioctx, target: str, lock: str, wait_s: float = 0.0) -> Iterator[None]:
    """Own the lock called *lock* of the object *target*, which is made for that, within the block.

    Raises rados.ObjectBusy when somebody else keeps it for *wait_s*. An owner that died has lost it after a minute.
    """
    cookie = f"{socket.gethostname()} {os.getpid()} {os.urandom(4).hex()}"
    _acquire(pool, target, lock, cookie, wait_s)
    ended = threading.Event()
    renewer = threading.Thread(target=_renew, args=(pool, target, lock, cookie, ended), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        ended.set()
        renewer.join()
        try:
            pool.unlock(target, lock, cookie)
        except rados.Error:
            pass  # it ends by itself


def _acquire(pool: rados.Ioctx, target: str, lock: str, cookie: str, wait_s: float) -> None:
    end = time.monotonic() + wait_s
    while True:
        try:
            pool.lock_exclusive(target, lock, cookie, cookie, _LASTS_S)
        except rados.ObjectBusy:
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def _renew(pool: rados.Ioctx, target: str, lock: str, cookie: str, ended: threading.Event) -> None:
    while not ended.wait(_RENEW_S):
        try:
            pool.lock_exclusive(target, lock, cookie, cookie, _LASTS_S, _MAY_RENEW)
        except rados.Error:
            continue  # what the owner does meanwhile fails for the same reason, and says so
