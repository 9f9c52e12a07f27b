# SPDX-License-Identifier: BSD-2-Clause
"""The images that volumes are cloned from. Sizes are in bytes."""

from __future__ import annotations

import rbd

from archipelago.rados.cluster import Cluster
from archipelago.rados.publishing import exists
from archipelago.store import Parent
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.image import PREFIX, SNAPSHOT, ImageRecord, checked_name, rados_name
from ganeti_cloud.volume import MIB, UNFINISHED_SUFFIX


def origin(name: str) -> Parent:
    """The parent that ``origin=NAME`` of a disk means, whether it exists or not. Raises RequestError for no name."""
    return Parent(name, rados_name(checked_name(name)), SNAPSHOT, of_image=True)


def refuse_too_large(name: str, size: int, *, at_most: int) -> None:
    """Raise RequestError when the image *name* of *size* does not fit into a disk of *at_most*."""
    if size > at_most:
        needed = -(-size // MIB)
        raise RequestError(
            f"image {name} is {needed} MiB large and does not fit into a disk of {at_most // MIB} MiB",
            hint=f"give the disk size={needed}M or more",
        )


def missing(name: str) -> RequestError:
    """The error for an image that is not there."""
    return RequestError(
        f"there is no image {name!r}",
        hint="`archipelago image list` shows what there is; `archipelago image import` brings one in",
    )


def records(cluster: Cluster) -> list[ImageRecord]:
    """All images, sorted by name; none that is half imported or half removed."""
    found = []
    for entry in sorted(rbd.RBD().list(cluster.image_pool)):
        if entry.startswith(PREFIX) and not entry.endswith(UNFINISHED_SUFFIX):
            try:
                found.append(record(cluster, entry.removeprefix(PREFIX)))
            except RequestError:
                continue  # gone since it was listed, or without its snapshot
    return found


def record(cluster: Cluster, name: str) -> ImageRecord:
    """What is known of the image *name*. Raises RequestError when it does not exist."""
    try:
        with rbd.Image(cluster.image_pool, rados_name(checked_name(name)), snapshot=SNAPSHOT, read_only=True) as image:
            return ImageRecord.decode(name, image.size(), dict(image.metadata_list()))
    except rbd.ImageNotFound as err:
        raise missing(name) from err


def clones(cluster: Cluster, name: str) -> list[str]:
    """The volumes that were cloned from the image *name* and still share data with it."""
    try:
        with rbd.Image(cluster.image_pool, rados_name(checked_name(name)), read_only=True) as image:
            image.set_snap(SNAPSHOT)
            return sorted(child["image"] for child in image.list_children2())
    except rbd.ImageNotFound as err:
        raise missing(name) from err


def remove(cluster: Cluster, name: str) -> bool:
    """Remove the image *name*; False when there was none. Raises StorageError while volumes are cloned from it."""
    entry = rados_name(checked_name(name))
    if not exists(cluster.image_pool, entry):
        return False
    with rbd.Image(cluster.image_pool, entry) as image:
        if any(snapshot["name"] == SNAPSHOT for snapshot in image.list_snaps()):
            refuse_cloned(name, clones(cluster, name))
            if image.is_protected_snap(SNAPSHOT):
                image.unprotect_snap(SNAPSHOT)
            image.remove_snap(SNAPSHOT)
    rbd.RBD().remove(cluster.image_pool, entry)
    return True


def refuse_cloned(name: str, users: list[str]) -> None:
    """Raise StorageError when the image *name* is shared by the volumes *users*."""
    if users:
        raise StorageError(
            f"image {name} is shared by volumes that were cloned from it: {len(users)}, the first is {users[0]}",
            hint="remove these volumes first, or make them independent with `rbd flatten`",
        )
