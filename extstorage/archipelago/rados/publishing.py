# SPDX-License-Identifier: BSD-2-Clause
"""How an RBD image comes into being: made under another name, and renamed when nothing is missing.

A client that dies in the middle of rbd_clone() leaves, one time in five, an image that opens and has no parent: an
empty disk. Under its final name an image therefore appears only whole. What dies before is swept up by the next run.

The layout used here is RBD's own (format 2): the object ``rbd_id.<name>`` holds an image's id, the omap of
``rbd_directory`` lists ``name_<name>``. The rename is that of librbd (rbd::librbd::operation::RenameRequest): it writes
the new rbd_id, then the directory, then removes the old rbd_id. It is done here and not by rbd_rename(), because that
opens the image once more, which costs as much as the rest of the rename, and these are the same steps that finish the
rename of a run that died.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import rados
import rbd

from archipelago.rados.cluster import Cluster, errno_of, holders
from archipelago.rados.metadata import encoded, image_id
from ganeti_cloud.volume import UNFINISHED_SUFFIX

# Longer than any script of ours can run, so that a fenced one never comes back to life.
_FENCE_S = 3600


def unfinished(name: str) -> str:
    """What an image is called while it is being made."""
    return name + UNFINISHED_SUFFIX


@contextmanager
def published(cluster: Cluster, pool: rados.Ioctx, name: str) -> Iterator[str]:
    """Make an image called *name* in *pool*: the block completes the one whose name it gets; after it, that is renamed.

    When the block fails, nothing is left, unless the cluster has stopped to answer: then the next run sweeps up.
    The block may meet what a dead run left: that ends in rbd.ImageExists, and another try succeeds.
    """
    try:
        yield unfinished(name)
        rename(pool, unfinished(name), name)
    except BaseException as err:
        if errno_of(err) != errno.ETIMEDOUT:
            _discard_quietly(cluster, pool, name)
        raise


def _discard_quietly(cluster: Cluster, pool: rados.Ioctx, name: str) -> None:
    try:
        discard_unfinished(cluster, pool, name)
    except (rados.Error, rbd.Error):
        pass  # the first error is the one to tell, and the next run sweeps up


def exists(pool: rados.Ioctx, name: str) -> bool:
    """Whether an image called *name* can be opened. It costs one round trip, and opening it ten."""
    try:
        pool.stat(f"rbd_id.{name}")
    except rados.ObjectNotFound:
        return False
    return True


def discard_unfinished(cluster: Cluster, pool: rados.Ioctx, name: str) -> None:
    """Remove what an interrupted run left of making *name* in *pool*; if it died while renaming, finish that.

    Succeeds when there is nothing. A client that still holds the unfinished image is fenced: Ganeti runs one script
    at a time for a volume, so that client is dead, or abandoned by Ganeti.
    """
    if exists(pool, name) and image_id(pool, unfinished(name)) == image_id(pool, name):
        finish_rename(pool, unfinished(name), name)
        return
    _fence_holders(cluster, pool, unfinished(name))
    try:
        rbd.RBD().remove(pool, unfinished(name))
    except rbd.ImageNotFound:
        pass


def rename(pool: rados.Ioctx, old: str, new: str) -> None:
    """Call the image *old* by the name *new*, with what else is kept under its name. Nobody may have it open.

    Raises rbd.ImageExists when *new* is taken.
    """
    with rados.WriteOpCtx() as write:
        write.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        write.write_full(pool.read(f"rbd_id.{old}"))
        for key, value in pool.get_xattrs(f"rbd_id.{old}"):
            write.set_xattr(key, value)
        try:
            pool.operate_write_op(write, f"rbd_id.{new}")
        except rados.ObjectExists as err:
            raise rbd.ImageExists(f"{new} exists", errno=errno.EEXIST) from err
    finish_rename(pool, old, new)


def finish_rename(pool: rados.Ioctx, old: str, new: str) -> None:
    """Complete a :func:`rename` that was cut short after *new* had been written."""
    identity = image_id(pool, new)
    assert identity is not None
    arguments = b"".join(encoded(text) for text in (old, new, identity))
    try:
        pool.execute("rbd_directory", "rbd", "dir_rename_image", arguments)
    except rados.ObjectNotFound:
        pass  # the directory had the new name already
    pool.remove_object(f"rbd_id.{old}")


def _fence_holders(cluster: Cluster, pool: rados.Ioctx, name: str) -> None:
    for address in holders(pool, name):
        if not cluster.is_own(address):
            cluster.evict(address, _FENCE_S)
