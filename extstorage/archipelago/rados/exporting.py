# SPDX-License-Identifier: BSD-2-Clause
"""The copy of one moment of a volume that Ganeti makes for an export, and the snapshot between the two."""

from __future__ import annotations

import rbd

from archipelago.rados import volumes
from archipelago.rados.cluster import Cluster
from archipelago.rados.metadata import ORIGIN_KEY
from archipelago.rados.publishing import published
from ganeti_cloud.volume import EXPORT_SNAPSHOT


def copy(cluster: Cluster, name: str, new: str) -> None:
    """Make volume *new*, a clone that holds what *name* holds now. There must be no *new*.

    Where clones are of the second format the snapshot between the two removes itself with the copy; with the first
    format it stays until the removal of the copy.
    """
    with volumes.opened(cluster, name) as image:
        drop_snapshot(image)
        image.create_snap(EXPORT_SNAPSHOT)
        image.protect_snap(EXPORT_SNAPSHOT)
        with published(cluster, cluster.pool, new) as draft:
            rbd.RBD().clone(cluster.pool, name, EXPORT_SNAPSHOT, cluster.pool, draft)
            volumes.note_clone(cluster, draft, {ORIGIN_KEY: f"snapshot:{name}@{EXPORT_SNAPSHOT}"})
        drop_snapshot(image)


def drop_snapshot(image: rbd.Image) -> None:
    """Remove the snapshot of an export of *image*, if there is one and no copy of clone format 1 needs it."""
    try:
        image.unprotect_snap(EXPORT_SNAPSHOT)
    except rbd.ImageNotFound:
        return
    except rbd.InvalidArgument:
        pass  # a run died between making and protecting it
    except rbd.ImageBusy:
        return  # clone format 1: its copy is still there
    image.remove_snap(EXPORT_SNAPSHOT)


def exported(image: rbd.Image) -> str | None:
    """The name of the volume that *image* is the copy of for an export; None when it is none."""
    try:
        parent = image.get_parent_image_spec()
    except rbd.ImageNotFound:
        return None
    return parent["image_name"] if parent["snap_name"] == EXPORT_SNAPSHOT else None
