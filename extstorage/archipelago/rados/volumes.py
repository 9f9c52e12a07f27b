# SPDX-License-Identifier: BSD-2-Clause
"""Volumes: what the verbs do in the cluster. Sizes are in bytes.

The functions raise the bindings' own exceptions where no better words exist for them than those of
:func:`archipelago.rados.cluster.explained`.
"""

from __future__ import annotations

import time

import rados
import rbd

from archipelago.catalogue import images
from archipelago.rados.cluster import Cluster, holders, host_of
from archipelago.rados.publishing import discard_unfinished, exists, published
from archipelago.store import Parent
from ganeti_cloud.errors import RequestError, StorageError

ORIGIN_KEY = "ganeti-cloud.volume.origin"
OWNER_KEY = "ganeti-cloud.volume.metadata"

# The snapshot that stands for one moment of a volume while Ganeti exports it.
_EXPORT_SNAPSHOT = "ganeti-export"

# A client that died stays a holder of its image for osd_client_watch_timeout, 30 s by default.
_HOLDER_S = 35.0


def create(cluster: Cluster, name: str, size: int, parent: Parent | None) -> None:
    """See :meth:`archipelago.store.Volumes.create`.

    A volume that exists is refused: Ganeti's recreate-disks does not remove it first, and what it holds is not ours to
    drop.
    """
    if exists(cluster.pool, name):
        discard_unfinished(cluster, cluster.pool, name)
        raise RequestError(
            f"volume {name} exists already",
            hint="if nobody needs its content, run `gnt-instance deactivate-disks` for its instance and "
            f"`rbd rm {cluster.settings.spec(name)}`, and try again",
        )
    try:
        _make(cluster, name, size, parent)
    except rbd.ImageExists:  # left by a run that died, and swept up by now
        _make(cluster, name, size, parent)


def _make(cluster: Cluster, name: str, size: int, parent: Parent | None) -> None:
    with published(cluster, cluster.pool, name) as draft:
        if parent is None:
            rbd.RBD().create(cluster.pool, draft, size)
            return
        try:
            rbd.RBD().clone(_place(cluster, parent), parent.holder, parent.snapshot, cluster.pool, draft)
        except rbd.ImageNotFound as err:
            raise images.missing(parent.text) from err
        with rbd.Image(cluster.pool, draft) as image:
            # Asked of the clone, which is open anyway: opening the image just for its size would cost 10 ms.
            images.refuse_too_large(parent.text, image.size(), at_most=size)
            if image.size() < size:
                image.resize(size)
            image.metadata_set(ORIGIN_KEY, parent.text)


def check(cluster: Cluster, name: str) -> None:
    """Raise RequestError when there is no volume *name*."""
    if not exists(cluster.pool, name):
        raise _missing(cluster, name)


def require_parent(cluster: Cluster, parent: Parent) -> None:
    """Raise RequestError when *parent* is not there."""
    try:
        rbd.Image(_place(cluster, parent), parent.holder, snapshot=parent.snapshot, read_only=True).close()
    except rbd.ImageNotFound as err:
        raise images.missing(parent.text) from err


def _place(cluster: Cluster, parent: Parent) -> rados.Ioctx:
    return cluster.image_pool if parent.of_image else cluster.pool


def grow(cluster: Cluster, name: str, size: int) -> None:
    """Make volume *name* at least *size* large. Never shrinks one: what is larger already stays."""
    with _opened(cluster, name) as image:
        if image.size() < size:
            image.resize(size)


def set_metadata(cluster: Cluster, name: str, text: str) -> None:
    """Keep *text* (Ganeti says which instance the volume belongs to) beside the volume."""
    with _opened(cluster, name) as image:
        image.metadata_set(OWNER_KEY, text)


def snapshot(cluster: Cluster, name: str, copy: str) -> None:
    """Make volume *copy*, a clone that holds what *name* holds now. An earlier *copy* is replaced.

    Where clones are of the second format the snapshot between the two removes itself with the copy; with the first
    format it stays until :func:`remove` of the copy.
    """
    remove(cluster, copy)
    with _opened(cluster, name) as image:
        _drop_snapshot(image)
        image.create_snap(_EXPORT_SNAPSHOT)
        image.protect_snap(_EXPORT_SNAPSHOT)
        with published(cluster, cluster.pool, copy) as draft:
            rbd.RBD().clone(cluster.pool, name, _EXPORT_SNAPSHOT, cluster.pool, draft)
        _drop_snapshot(image)


def remove(cluster: Cluster, name: str) -> None:
    """Remove volume *name*, and whatever an interrupted run left of it. Succeeds when it is gone.

    A clone of the second format that was made of it lives on: RBD keeps what it needs in the trash until it goes.
    Raises StorageError when something still holds the volume open, when it has snapshots that a person made, or a copy
    of the first format.
    """
    discard_unfinished(cluster, cluster.pool, name)
    parent = _prepare_removal(cluster, name)
    end = time.monotonic() + _HOLDER_S
    while True:
        try:
            rbd.RBD().remove(cluster.pool, name)
        except rbd.ImageNotFound:
            pass
        except rbd.ImageHasSnapshots as err:
            raise StorageError(
                f"volume {name} shares data with a copy that an export left",
                hint=f"remove the copy first: `rbd children {cluster.settings.spec(name)}@{_EXPORT_SNAPSHOT}` names it",
            ) from err
        except rbd.ImageBusy as err:
            if time.monotonic() > end:
                raise _held(cluster, name) from err
            time.sleep(1)
            continue
        break
    if parent is not None:
        with _opened(cluster, parent) as image:
            _drop_snapshot(image)


def _prepare_removal(cluster: Cluster, name: str) -> str | None:
    """Drop the snapshot of an export; the name of the volume *name* is an export of, if it is one."""
    try:
        with rbd.Image(cluster.pool, name) as image:
            _drop_snapshot(image)
            kept = [
                entry["name"]
                for entry in image.list_snaps()
                # One in another namespace is in the trash, and goes with the last clone of it.
                if entry["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER and entry["name"] != _EXPORT_SNAPSHOT
            ]
            parent = _parent(image)
    except rbd.ImageNotFound:
        return None
    if kept:
        raise StorageError(
            f"volume {name} has snapshots: {', '.join(kept)}",
            hint=f"remove them first: rbd snap purge {cluster.settings.spec(name)}",
        )
    return parent


def _parent(image: rbd.Image) -> str | None:
    try:
        parent = image.get_parent_image_spec()
    except rbd.ImageNotFound:
        return None
    return parent["image_name"] if parent["snap_name"] == _EXPORT_SNAPSHOT else None


def _drop_snapshot(image: rbd.Image) -> None:
    try:
        image.unprotect_snap(_EXPORT_SNAPSHOT)
    except rbd.ImageNotFound:
        return
    except rbd.InvalidArgument:
        pass  # a run died between making and protecting it
    except rbd.ImageBusy:
        return  # clone format 1: its copy is still there
    image.remove_snap(_EXPORT_SNAPSHOT)


def _opened(cluster: Cluster, name: str) -> rbd.Image:
    try:
        return rbd.Image(cluster.pool, name)
    except rbd.ImageNotFound as err:
        raise _missing(cluster, name) from err


def _missing(cluster: Cluster, name: str) -> RequestError:
    where = cluster.settings.spec("")
    return RequestError(
        f"there is no volume {name} in {where}",
        hint=f"`rbd ls {where}` lists what there is; see [ceph] in archipelago.toml(5) for where it is looked for",
    )


def _held(cluster: Cluster, name: str) -> StorageError:
    hosts = sorted({host_of(address) for address in holders(cluster.pool, name)})
    return StorageError(
        f"volume {name} is still open on {', '.join(hosts) or 'another node'}",
        hint="stop the instance there, or run `gnt-instance deactivate-disks` for it, and try again",
    )
