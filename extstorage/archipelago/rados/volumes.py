# SPDX-License-Identifier: BSD-2-Clause
"""Volumes: how they come into being, change their name and their size. Sizes are in bytes.

The functions raise the bindings' own exceptions where no better words exist for them than those of
:func:`archipelago.rados.cluster.explained`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import rados
import rbd

from archipelago.catalogue import images
from archipelago.contract.volumes import Parent
from archipelago.rados import metadata
from archipelago.rados.cluster import Cluster, holders, host_of
from archipelago.rados.metadata import ADOPTED_KEY, CLUSTER_KEY, DEPTH_KEY, ORIGIN_KEY, OWNER_KEY, image_id
from archipelago.rados.publishing import discard_unfinished, exists, finish_rename, published
from archipelago.rados.publishing import rename as rename_image
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.volume import MIB, instance_of

# Beside the name of a volume: which hosts have opened it, as Ganeti's scripts told us.
OPENING = "ganeti-cloud.open."

_LAST_LOOK_S = 0.05

# The volumes that are to be flattened, by the ids of their images.
DEEP_OBJECT = "ganeti-cloud.flatten"


def create(cluster: Cluster, name: str, size: int, parent: Parent | None, ganeti: str) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.create`; *ganeti* is what is called *cluster* there.

    A volume that exists is refused: Ganeti's recreate-disks does not remove it first, and what it holds is not ours to
    drop.
    """
    if exists(cluster.pool, name):
        discard_unfinished(cluster, cluster.pool, name)
        raise _existing(name)
    try:
        _make(cluster, name, size, parent, ganeti)
    except rbd.ImageExists:  # left by a run that died, and swept up by now
        _make(cluster, name, size, parent, ganeti)


def _make(cluster: Cluster, name: str, size: int, parent: Parent | None, ganeti: str) -> None:
    with published(cluster, cluster.pool, name) as draft:
        if parent is None:
            rbd.RBD().create(cluster.pool, draft, size)
            _note(cluster, draft, {CLUSTER_KEY: ganeti})
            return
        _clone(cluster, parent, draft)
        with rbd.Image(cluster.pool, draft) as image:
            # Asked of the clone, which is open anyway: opening the image just for its size would cost 10 ms.
            images.refuse_too_large(parent, image.size(), at_most=size)
            if image.size() < size:
                image.resize(size)
        note_clone(cluster, draft, {ORIGIN_KEY: parent.text, OWNER_KEY: "", CLUSTER_KEY: ganeti, ADOPTED_KEY: ""})


def _clone(cluster: Cluster, parent: Parent, draft: str) -> None:
    place = _place(cluster, parent)
    try:
        try:
            rbd.RBD().clone(place, parent.holder, parent.snapshot, cluster.pool, draft)
        except rbd.InvalidArgument:  # clone format 1 demands a protected snapshot
            # One of librbd's threads may still have a last look at the image that it just closed, in memory that is
            # free by now (seen with 16.2 and 18.2). Nobody is to use that memory again at once.
            time.sleep(_LAST_LOOK_S)
            with rbd.Image(place, parent.holder) as image:
                image.protect_snap(parent.snapshot)
            rbd.RBD().clone(place, parent.holder, parent.snapshot, cluster.pool, draft)
    except rbd.ImageNotFound as err:
        raise _missing_parent(parent) from err


def note_clone(cluster: Cluster, draft: str, pairs: Mapping[str, str]) -> None:
    """Keep *pairs* beside the clone *draft*, and its depth. All that is kept beside its parent it has inherited."""
    identity = _identity(cluster, draft)
    inherited = metadata.read(cluster.pool, identity)
    depth = int(inherited.get(DEPTH_KEY, "0")) + 1
    changed = {key: value for key, value in pairs.items() if value != inherited.get(key, "")}
    metadata.write(cluster.pool, identity, {**changed, DEPTH_KEY: str(depth)})
    if depth > cluster.settings.max_depth:
        # Before it is published: what dies in between leaves an entry too much, and not one too few.
        with rados.WriteOpCtx() as write:
            cluster.pool.set_omap(write, (identity,), (b"",))
            cluster.pool.operate_write_op(write, DEEP_OBJECT)


def _note(cluster: Cluster, name: str, pairs: Mapping[str, str]) -> None:
    metadata.write(cluster.pool, _identity(cluster, name), pairs)


def adopt(cluster: Cluster, old: str, name: str, size: int, ganeti: str) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.adopt`."""
    import datetime  # seldom done, and the module takes as long to load as a clone's parent is looked up

    if not _renamed_already(cluster, old, name):
        with opened(cluster, old) as image:
            if image.size() > size:
                raise RequestError(
                    f"volume {old} is {-(-image.size() // MIB)} MiB large and does not fit into {size // MIB} MiB",
                    hint="give the disk the size of the volume: no volume is ever made smaller",
                )
        owner = metadata.read(cluster.pool, _identity(cluster, old)).get(OWNER_KEY, "")
        if owner:
            raise RequestError(
                f"volume {old} is a disk of {instance_of(owner)}",
                hint="use a copy of it: `archipelago volume snapshot`, then `archipelago volume clone`",
            )
        refuse_open(cluster, old)
        grow(cluster, old, size)
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        _note(cluster, old, {CLUSTER_KEY: ganeti, ADOPTED_KEY: now})
        rename_image(cluster.pool, old, name)


def rename(cluster: Cluster, name: str, new: str) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.rename`."""
    if not _renamed_already(cluster, name, new):
        check(cluster, name)
        refuse_open(cluster, name)
        _note(cluster, name, {CLUSTER_KEY: ""})
        rename_image(cluster.pool, name, new)


def _renamed_already(cluster: Cluster, name: str, new: str) -> bool:
    """Complete a rename that was cut short. Raises RequestError when *new* is the name of another volume."""
    if not exists(cluster.pool, new):
        return False
    if image_id(cluster.pool, name) != image_id(cluster.pool, new):
        raise _existing(new)
    finish_rename(cluster.pool, name, new)
    return True


def check(cluster: Cluster, name: str) -> None:
    """Raise RequestError when there is no volume *name*."""
    if not exists(cluster.pool, name):
        raise missing(cluster, name)


def require_parent(cluster: Cluster, parent: Parent) -> None:
    """Raise RequestError when *parent* is not there."""
    try:
        rbd.Image(_place(cluster, parent), parent.holder, snapshot=parent.snapshot, read_only=True).close()
    except rbd.ImageNotFound as err:
        raise _missing_parent(parent) from err


def _place(cluster: Cluster, parent: Parent) -> rados.Ioctx:
    return cluster.image_pool if parent.of_image else cluster.pool


def grow(cluster: Cluster, name: str, size: int) -> None:
    """Make volume *name* at least *size* large. Never shrinks one: what is larger already stays."""
    with opened(cluster, name) as image:
        if image.size() < size:
            image.resize(size)


def set_metadata(cluster: Cluster, name: str, text: str) -> None:
    """Keep *text* (Ganeti says which instance the volume belongs to) beside the volume."""
    _note(cluster, name, {OWNER_KEY: text})


def opened(cluster: Cluster, name: str) -> rbd.Image:
    """The volume *name*, open. Raises RequestError when there is none."""
    try:
        return rbd.Image(cluster.pool, name)
    except rbd.ImageNotFound as err:
        raise missing(cluster, name) from err


def openers(cluster: Cluster, name: str, watching: list[str]) -> list[str]:
    """The hosts that have volume *name* open, by the addresses of its watchers, or say that they have."""
    kept = cluster.pool.get_xattrs(f"rbd_id.{name}")
    said = {key.removeprefix(OPENING) for key, _ in kept if key.startswith(OPENING)}
    return sorted(said | {host_of(address) for address in watching})


def refuse_open(cluster: Cluster, name: str) -> None:
    """Raise StorageError when somebody has volume *name* open."""
    hosts = openers(cluster, name, holders(cluster.pool, name))
    if hosts:
        raise held(name, hosts)


def held(name: str, hosts: list[str]) -> StorageError:
    """The error for a volume that *hosts* have open."""
    return StorageError(
        f"volume {name} is still open on {', '.join(hosts) or 'another node'}",
        hint="stop the instance there, or run `gnt-instance deactivate-disks` for it, and try again",
    )


def missing(cluster: Cluster, name: str) -> RequestError:
    """The error for a volume that is not there."""
    where = cluster.settings.spec("")
    return RequestError(
        f"there is no volume {name} in {where}",
        hint="`archipelago volume list` lists what there is; see archipelago.toml(5) for where it is looked for",
    )


def _identity(cluster: Cluster, name: str) -> str:
    identity = image_id(cluster.pool, name)
    if identity is None:
        raise missing(cluster, name)
    return identity


def _missing_parent(parent: Parent) -> RequestError:
    if parent.of_image:
        return images.missing(parent.text)
    return RequestError(
        f"there is no snapshot {parent.snapshot} of a volume {parent.holder}",
        hint=f"`archipelago snapshot list {parent.holder}` shows what there is",
    )


def _existing(name: str) -> RequestError:
    return RequestError(
        f"volume {name} exists already",
        hint="if nobody needs its content, run `gnt-instance deactivate-disks` for its instance and "
        f"`archipelago volume remove --force {name}`, and try again",
    )
