# SPDX-License-Identifier: BSD-2-Clause
"""RBD's trash: what is in it, and the ways out of it.

It is read by ourselves: RBD.trash_list() of Ceph 16 fails when an image is in it that only its clones keep. The omap of
the object ``rbd_trash`` has ``id_<id>`` for each image, with a cls::rbd::TrashImageSpec.
"""

from __future__ import annotations

import datetime
import struct
from typing import NamedTuple

import rados
import rbd

from archipelago.contract.volumes import TrashRecord
from archipelago.rados import metadata, snapshots
from archipelago.rados.cluster import Cluster
from archipelago.rados.metadata import CLUSTER_KEY, OWNER_KEY, decoded, image_id
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.volume import EXPORT_SNAPSHOT

_PAGE = 1000
_PREFIX = "id_"

# cls::rbd::TrashImageSource: moved there by a user. Others are Ceph's own business.
_BY_USER = 0


class Entry(NamedTuple):
    """One entry of the trash, as RBD keeps it. Times are in seconds since 1970."""

    source: int
    name: str
    removed_s: int
    kept_until_s: int

    @classmethod
    def decode(cls, data: bytes) -> Entry:
        """Read a TrashImageSpec: two versions and a length, then source, name, and two times with nanoseconds."""
        (source,) = struct.unpack_from("<B", data, 6)
        name, at = decoded(data, 7)
        removed_s, _, kept_until_s, _ = struct.unpack_from("<IIII", data, at)
        return cls(source, name, removed_s, kept_until_s)


def entries(pool: rados.Ioctx) -> dict[str, Entry]:
    """The volumes in the trash, by the ids of their images."""
    found: dict[str, Entry] = {}
    after = ""
    while True:
        with rados.ReadOpCtx() as operation:
            pairs, _ = pool.get_omap_vals(operation, after, _PREFIX, _PAGE)
            try:
                pool.operate_read_op(operation, "rbd_trash")
            except rados.ObjectNotFound:
                return found
            page = list(pairs)
        for after, data in page:  # noqa: B007 - the next page begins after the last of this one
            entry = Entry.decode(data)
            if entry.source == _BY_USER:
                found[after.removeprefix(_PREFIX)] = entry
        if len(page) < _PAGE:
            return found


def records(cluster: Cluster) -> list[TrashRecord]:
    """See :meth:`archipelago.contract.volumes.Trash.trashed`."""
    listed = sorted(entries(cluster.pool).items(), key=lambda item: item[1].removed_s)
    return [_record(cluster, identity, entry) for identity, entry in listed]


def _record(cluster: Cluster, identity: str, entry: Entry) -> TrashRecord:
    kept: list[str] = []
    clones: list[str] = []
    try:
        with rbd.Image(cluster.pool, image_id=identity, read_only=True) as image:
            kept = snapshots.kept(image)
            clones = snapshots.clones(cluster, image)
    except rbd.ImageNotFound:
        pass  # half purged, or brought back just now
    return TrashRecord(
        identity, entry.name, _shown_time(entry.removed_s), _shown_time(entry.kept_until_s), kept, clones
    )


def _shown_time(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")


def restore(cluster: Cluster, record: TrashRecord) -> None:
    """See :meth:`archipelago.contract.volumes.Trash.restore`."""
    there = image_id(cluster.pool, record.name)
    if there is not None and there != record.id:  # its own id is there when a run died while it brought it back
        raise RequestError(
            f"there is a volume {record.name} already",
            hint=f"give that one another name first: archipelago volume rename {record.name} NEW",
        )
    metadata.write(cluster.pool, record.id, {OWNER_KEY: "", CLUSTER_KEY: ""})
    try:
        rbd.RBD().trash_restore(cluster.pool, record.id, record.name)
    except rbd.ImageNotFound as err:
        if there != record.id:
            raise missing(record.name) from err


def purge(cluster: Cluster, record: TrashRecord) -> bool:
    """See :meth:`archipelago.contract.volumes.Trash.purge`."""
    if record.id not in entries(cluster.pool):
        return False
    try:
        with rbd.Image(cluster.pool, image_id=record.id) as image:
            clones = snapshots.clones(cluster, image)
            if clones:
                raise StorageError(
                    f"{record.name} in the trash is shared by volumes that were cloned from it: {', '.join(clones)}",
                    hint="it can go when they are gone, or made independent with `archipelago volume flatten`",
                )
            for name in [*snapshots.kept(image), EXPORT_SNAPSHOT]:
                try:
                    snapshots.drop(image, name, clones, record.name)
                except rbd.ImageNotFound:
                    pass  # there is no snapshot of an export
    except rbd.ImageNotFound:
        pass  # half purged
    try:
        rbd.RBD().trash_remove(cluster.pool, record.id, force=True)
    except rbd.ImageNotFound:
        return False
    return True


def missing(name: str) -> RequestError:
    """The error for a volume that is not in the trash."""
    return RequestError(f"there is no {name} in the trash", hint="`archipelago trash list` shows what there is")
