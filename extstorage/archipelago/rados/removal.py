# SPDX-License-Identifier: BSD-2-Clause
"""Removing a volume, so that nothing is lost that somebody kept, and nothing stands in the way of Ganeti."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from typing import NamedTuple

import rbd

from archipelago.contract.volumes import Removal
from archipelago.rados.cluster import Cluster, holders
from archipelago.rados.exporting import drop_snapshot, exported
from archipelago.rados.publishing import discard_unfinished
from archipelago.rados.snapshots import kept
from archipelago.rados.volumes import held, openers

# A client that died stays a holder of its image for osd_client_watch_timeout, 30 s by default.
_HOLDER_S = 35.0

_DAY_S = 86400


class _Found(NamedTuple):
    """What removal has to know of a volume: the snapshots that a person took, and what it is an export's copy of."""

    snapshots: list[str]
    exported: str | None


def remove(cluster: Cluster, name: str) -> Removal:
    """See :meth:`archipelago.contract.volumes.Volumes.remove`.

    A clone of the second format that was made of it lives on: RBD keeps what it needs in the trash until it goes. One
    of the first format keeps its snapshot protected, and then the trash is where we put the volume.
    """
    discard_unfinished(cluster, cluster.pool, name)
    found = _prepared(cluster, name)
    if found.snapshots:
        return "trashed" if _move(cluster, name, _keep_s(cluster)) else "absent"
    try:
        _patiently(cluster, name, lambda: rbd.RBD().remove(cluster.pool, name))
        removal: Removal = "removed"
    except rbd.ImageHasSnapshots:
        # Kept by a clone alone, or by a person who took it just now.
        kept_s = _keep_s(cluster) if _prepared(cluster, name).snapshots else 0
        removal = "trashed" if _move(cluster, name, kept_s) else "absent"
    except rbd.ImageNotFound:
        removal = "trashed" if _move(cluster, name, _keep_s(cluster)) else "absent"
    if found.exported is not None:
        _drop_snapshot_of(cluster, found.exported)
    return removal


def trash(cluster: Cluster, name: str) -> None:
    """See :meth:`archipelago.contract.volumes.Trash.trash`."""
    _move(cluster, name, _keep_s(cluster))


def _keep_s(cluster: Cluster) -> int:
    return cluster.settings.keep_days * _DAY_S


def _move(cluster: Cluster, name: str, seconds: int) -> bool:
    """Put *name* into the trash, to be kept there for *seconds* at least; complete such a move that was cut short.
    False when there is none of that name."""

    def move() -> None:
        # RBD looks at the exclusive lock alone, which a client that has not written yet does not have.
        if holders(cluster.pool, name):
            raise rbd.ImageBusy(f"{name} is open", errno=errno.EBUSY)
        rbd.RBD().trash_move(cluster.pool, name, seconds)

    try:
        _patiently(cluster, name, move)
    except rbd.ImageNotFound:
        return False
    return True


def _patiently(cluster: Cluster, name: str, action: Callable[[], None]) -> None:
    """Do *action*, which a holder of volume *name* may be in the way of: one that died goes by itself."""
    end = time.monotonic() + _HOLDER_S
    while True:
        try:
            action()
            return
        except rbd.ImageBusy as err:
            if time.monotonic() > end:
                raise held(name, openers(cluster, name, holders(cluster.pool, name))) from err
            time.sleep(1)


def _prepared(cluster: Cluster, name: str) -> _Found:
    """Drop the snapshot of an export, and look at what there is."""
    try:
        with rbd.Image(cluster.pool, name) as image:
            drop_snapshot(image)
            return _Found(kept(image), exported(image))
    except rbd.ImageNotFound:
        return _Found([], None)


def _drop_snapshot_of(cluster: Cluster, name: str) -> None:
    try:
        with rbd.Image(cluster.pool, name) as image:
            drop_snapshot(image)
    except rbd.ImageNotFound:
        pass  # removed before its copy: what is in the trash goes when it is purged
