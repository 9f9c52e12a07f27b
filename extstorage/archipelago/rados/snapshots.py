# SPDX-License-Identifier: BSD-2-Clause
"""Moments of a volume that a person kept. Sizes are in bytes."""

from __future__ import annotations

import datetime
from typing import Any

import rbd

from archipelago.contract.volumes import Progress, SnapshotRecord
from archipelago.rados.cluster import Cluster
from archipelago.rados.volumes import opened, refuse_open
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.volume import EXPORT_SNAPSHOT

# Each object of the volume is looked at; a volume of some TiB has a million.
_ROLLBACK_S = 24 * 3600.0


def kept(image: rbd.Image) -> list[str]:
    """The names of the snapshots of *image* that a person took."""
    return [entry["name"] for entry in _entries(image)]


def _entries(image: rbd.Image) -> list[dict[str, Any]]:
    # One in another namespace is in the trash, and goes with the last clone of it.
    user = rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    return [entry for entry in image.list_snaps() if entry["namespace"] == user and entry["name"] != EXPORT_SNAPSHOT]


def clones(cluster: Cluster, image: rbd.Image, snapshot: str | None = None) -> list[str]:
    """The images that share data with *snapshot* of *image*, or with any snapshot of it, sorted.

    One in another pool or namespace is shown with that before its name.
    """
    image.set_snap(snapshot)
    children = sorted(
        (child["pool"], child["pool_namespace"], child["image"], child["trash"]) for child in image.list_children2()
    )
    image.set_snap(None)
    here = (cluster.settings.pool, cluster.settings.namespace)
    return [
        (name if (pool, namespace) == here else "/".join(part for part in (pool, namespace, name) if part))
        + (" (in the trash)" if trashed else "")
        for pool, namespace, name, trashed in children
    ]


def take(cluster: Cluster, volume: str, name: str) -> None:
    """See :meth:`archipelago.contract.volumes.Snapshots.take_snapshot`.

    The client that holds the volume's exclusive lock makes the snapshot, if there is one, after it has written out what
    it had taken over: RBD forwards the request to it.
    """
    with opened(cluster, volume) as image:
        try:
            image.create_snap(name)
        except rbd.ImageExists as err:
            raise RequestError(
                f"volume {volume} has a snapshot {name!r} already",
                hint=f"choose another name, or remove it first: archipelago snapshot remove {volume}@{name}",
            ) from err


def records(cluster: Cluster, volume: str) -> list[SnapshotRecord]:
    """See :meth:`archipelago.contract.volumes.Snapshots.snapshots`."""
    with opened(cluster, volume) as image:
        return [
            SnapshotRecord(
                volume=volume,
                name=entry["name"],
                size=entry["size"],
                taken=shown_time(image.get_snap_timestamp(entry["id"])),
                clones=clones(cluster, image, entry["name"]),
            )
            for entry in sorted(_entries(image), key=lambda entry: int(entry["id"]))
        ]


def roll_back(cluster: Cluster, volume: str, name: str, progress: Progress) -> None:
    """See :meth:`archipelago.contract.volumes.Snapshots.roll_back`."""
    import re  # the scripts of Ganeti load this module and never come here

    from ganeti_cloud.process import follow

    with opened(cluster, volume) as image:
        if name not in kept(image):
            raise _missing(volume, name)
    refuse_open(cluster, volume)
    settings = cluster.settings
    keyring = ["--keyring", settings.keyring] if settings.keyring else []
    argv = ["rbd", "--conf", settings.conf, "--id", settings.user, *keyring, "snap", "rollback"]

    def on_text(text: str) -> None:
        for percent in re.findall(r"(\d+)% complete", text):
            progress(float(percent))

    # The tool and not the binding: that one tells no progress.
    follow(
        [*argv, f"{settings.spec(volume)}@{name}"],
        on_text,
        timeout_s=_ROLLBACK_S,
        hint="the volume holds a mixture now: run the same command again",
        stderr=True,
    )


def remove(cluster: Cluster, volume: str, name: str) -> bool:
    """See :meth:`archipelago.contract.volumes.Snapshots.remove_snapshot`."""
    try:
        with rbd.Image(cluster.pool, volume) as image:
            if name not in kept(image):
                return False
            drop(image, name, clones(cluster, image, name), f"snapshot {volume}@{name}")
    except rbd.ImageNotFound:
        return False
    return True


def drop(image: rbd.Image, name: str, children: list[str], shown: str) -> None:
    """Remove the snapshot *name* of *image*. Raises StorageError for one with *children* of clone format 1."""
    try:
        image.unprotect_snap(name)
    except rbd.InvalidArgument:
        pass  # it is not protected
    except rbd.ImageBusy as err:
        raise StorageError(
            f"{shown} is shared by volumes that were cloned from it: {', '.join(children)}",
            hint="make them independent first, with `archipelago volume flatten`, or remove them",
        ) from err
    image.remove_snap(name)


def _missing(volume: str, name: str) -> RequestError:
    return RequestError(
        f"volume {volume} has no snapshot {name!r}",
        hint=f"`archipelago snapshot list {volume}` shows what there is",
    )


def shown_time(moment: datetime.datetime) -> str:
    """*moment* (the bindings' are in UTC and do not say so) as ISO 8601."""
    return moment.replace(tzinfo=datetime.UTC).isoformat(timespec="seconds")
