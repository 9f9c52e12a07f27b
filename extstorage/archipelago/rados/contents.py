# SPDX-License-Identifier: BSD-2-Clause
"""Contents of images: snapshots of RBD images ("lines"), so that the versions of an image share their objects.

A line is called ``image.<name>.<first digits of its first content>``, a snapshot by the SHA-256 of the content. The
snapshot is protected as the last step: one that is not belongs to a writer or a remover that died. The hashes of the
blocks are in an object ``ganeti-cloud.blocks.<line>@<snapshot>``.

Whoever writes to a line has it open, and is therefore seen as a watcher of it; lines are opened under the catalogue's
lock only, so that there is one at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import rados
import rbd

from archipelago.catalogue import images
from archipelago.contract.contents import Content
from archipelago.contract.volumes import Parent
from archipelago.rados.cluster import Cluster, holders, host_of
from archipelago.rados.publishing import discard_unfinished, exists, rename, unfinished
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import BLOCK, PREFIX, SHORT
from ganeti_cloud.volume import UNFINISHED_SUFFIX

_HEX = frozenset("0123456789abcdef")


def line_name(name: str, sha256: str) -> str:
    """What the RBD image is called that the content *sha256* is written to, as the first one of the image *name*."""
    return f"{PREFIX}{name}.{sha256[:SHORT]}"


def contents(cluster: Cluster) -> list[Content]:
    """See :meth:`archipelago.contract.contents.Contents.contents`."""
    found = []
    for line in _lines(cluster):
        if not line.endswith(UNFINISHED_SUFFIX):
            try:
                with rbd.Image(cluster.image_pool, line, read_only=True) as image:
                    found += [
                        Content(line, snapshot) for snapshot in snapshots(image) if image.is_protected_snap(snapshot)
                    ]
            except rbd.ImageNotFound:
                continue  # gone since it was listed
    return found


def _lines(cluster: Cluster) -> list[str]:
    return sorted(name for name in rbd.RBD().list(cluster.image_pool) if name.startswith(PREFIX))


def snapshots(image: rbd.Image) -> list[str]:
    """The contents in a line, complete or not, the oldest first. Those in the trash belong to their clones alone."""
    taken = sorted(
        (entry["id"], entry["name"])
        for entry in image.list_snaps()
        if entry["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_USER
    )
    return [name for _, name in taken if len(name) == 64 and set(name) <= _HEX]


def children(cluster: Cluster, content: Content) -> list[str]:
    """See :meth:`archipelago.contract.contents.Contents.children`."""
    try:
        with rbd.Image(cluster.image_pool, content.holder, content.snapshot, read_only=True) as image:
            return sorted(_shown(cluster, child) for child in image.list_children2())
    except rbd.ImageNotFound as err:
        raise _gone(content) from err


def _shown(cluster: Cluster, child: dict[str, str]) -> str:
    settings = cluster.settings
    if (child["pool"], child["pool_namespace"]) == (settings.pool, settings.namespace):
        return child["image"]
    return "/".join(part for part in (child["pool"], child["pool_namespace"], child["image"]) if part)


def clone(cluster: Cluster, name: str, parent: Parent, sha256: str, blocks: bytes) -> Content:
    """See :meth:`archipelago.contract.contents.Contents.clone_content`."""
    pool = cluster.image_pool
    line = line_name(name, sha256)
    discard_draft(cluster, line)
    draft = unfinished(line)
    try:
        rbd.RBD().clone(cluster.pool, parent.holder, parent.snapshot, pool, draft)
    except rbd.ImageNotFound as err:
        raise images.missing(parent.text) from err
    with rbd.Image(pool, draft) as image:
        # Whose volume it was is nothing that the clones of this image should inherit.
        for key in [key for key, _ in image.metadata_list() if key.startswith("ganeti-cloud.")]:
            image.metadata_remove(key)
        take(cluster, image, Content(line, sha256), blocks)
        rename(pool, draft, line)
    return Content(line, sha256)


def take(cluster: Cluster, image: rbd.Image, content: Content, blocks: bytes) -> None:
    """Make the head of *image*, which is or becomes ``content.holder``, the content *content*."""
    if content.snapshot in snapshots(image):
        drop(cluster, image, content)  # of a run that died before it was protected
    image.create_snap(content.snapshot)
    write_blocks(cluster, content, blocks)
    image.protect_snap(content.snapshot)


def remove(cluster: Cluster, content: Content) -> bool:
    """See :meth:`archipelago.contract.contents.Contents.remove_content`."""
    pool = cluster.image_pool
    if not exists(pool, content.holder):
        return True
    written = holders(pool, content.holder)
    with rbd.Image(pool, content.holder) as image:
        if content.snapshot in snapshots(image) and not drop(cluster, image, content):
            return False
        left = snapshots(image)
        if left and not written:
            roll_back(image, left[-1])  # otherwise the head would keep what the newest one held
    if not left and not written:
        rbd.RBD().remove(pool, content.holder)
    return True


def drop(cluster: Cluster, image: rbd.Image, content: Content) -> bool:
    """Take the snapshot and the hashes of *content* from its line *image*; False when clones of format 1 hold it."""
    if image.is_protected_snap(content.snapshot):
        try:
            image.unprotect_snap(content.snapshot)
        except rbd.ImageBusy:
            return False
    try:
        cluster.image_pool.remove_object(_blocks_object(content))
    except rados.ObjectNotFound:
        pass
    image.remove_snap(content.snapshot)
    return True


def roll_back(image: rbd.Image, newest: str) -> None:
    """Make the head of *image* what its *newest* content is, if it is not."""
    changed: list[int] = []
    size = image.size()
    [whole] = [entry["size"] for entry in image.list_snaps() if entry["name"] == newest]
    if size == whole:
        image.diff_iterate(0, size, newest, lambda start, _length, _data: changed.append(start), True, True)
    if changed or size != whole:
        image.rollback_to_snap(newest)


def sweep(cluster: Cluster) -> None:
    """See :meth:`archipelago.contract.contents.Contents.sweep_contents`."""
    for line in _lines(cluster):
        if holders(cluster.image_pool, line):
            continue
        if line.endswith(UNFINISHED_SUFFIX):
            discard_draft(cluster, line.removesuffix(UNFINISHED_SUFFIX))
        else:
            _sweep_line(cluster, line)


def _sweep_line(cluster: Cluster, line: str) -> None:
    pool = cluster.image_pool
    if exists(pool, unfinished(line)):
        discard_unfinished(cluster, pool, line)  # its rename was cut short: finish that
    try:
        with rbd.Image(pool, line, read_only=True) as image:
            found = {snapshot: image.is_protected_snap(snapshot) for snapshot in snapshots(image)}
    except rbd.ImageNotFound:
        return
    for snapshot in (snapshot for snapshot, whole in found.items() if not whole):
        remove(cluster, Content(line, snapshot))
    if not found:
        rbd.RBD().remove(pool, line)


def discard_draft(cluster: Cluster, line: str) -> None:
    """Remove what a writer that died left of making *line*; when it died while renaming, finish that."""
    pool = cluster.image_pool
    if not exists(pool, line) and exists(pool, unfinished(line)):
        try:
            with rbd.Image(pool, unfinished(line)) as image:
                for snapshot in snapshots(image):
                    drop(cluster, image, Content(line, snapshot))
        except rbd.ImageNotFound:
            pass  # not even made
    discard_unfinished(cluster, pool, line)


def refuse_held(cluster: Cluster, name: str, line: str) -> None:
    """Raise RequestError when somebody has *line* open, to write a version of the image *name*."""
    writers = holders(cluster.image_pool, line)
    if writers:
        raise RequestError(
            f"image {name!r} is being imported from {host_of(writers[0])}",
            hint="wait for that import to end; if it was killed, half a minute is enough",
        )


def write_blocks(cluster: Cluster, content: Content, blocks: bytes) -> None:
    """Keep the hashes *blocks* of *content*, in place of others."""
    pool = cluster.image_pool
    pool.write_full(_blocks_object(content), blocks[:BLOCK])
    for offset in range(BLOCK, len(blocks), BLOCK):
        pool.write(_blocks_object(content), blocks[offset : offset + BLOCK], offset)


def read_blocks(cluster: Cluster, content: Content) -> bytes:
    """See :meth:`archipelago.contract.contents.Contents.blocks`."""
    pieces: list[bytes] = []
    while not pieces or len(pieces[-1]) == BLOCK:
        try:
            pieces.append(cluster.image_pool.read(_blocks_object(content), BLOCK, len(pieces) * BLOCK))
        except rados.ObjectNotFound as err:
            raise _gone(content) from err
    return b"".join(pieces)


def _blocks_object(content: Content) -> str:
    return f"ganeti-cloud.blocks.{content.holder}@{content.snapshot}"


def _gone(content: Content) -> RequestError:
    return RequestError(
        f"the store has no content {content.holder}@{content.snapshot[:SHORT]}",
        hint="somebody has removed it just now; see `archipelago image list --versions`, and try again",
    )


class RadosReader:
    """See :class:`archipelago.contract.contents.Reader`."""

    def __init__(self, image: rbd.Image) -> None:
        self._image = image
        self.size = image.size()

    def extents(self) -> Iterator[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        self._image.diff_iterate(
            0, self.size, None, lambda start, length, data: found.append((start, length)) if data else None
        )
        return iter(found)

    def read(self, offset: int, length: int) -> bytes:
        return self._image.read(offset, length)


@contextmanager
def reading(cluster: Cluster, parent: Parent) -> Iterator[RadosReader]:
    """See :meth:`archipelago.contract.contents.Contents.reading`."""
    pool = cluster.image_pool if parent.of_image else cluster.pool
    try:
        image = rbd.Image(pool, parent.holder, parent.snapshot, read_only=True)
    except rbd.ImageNotFound as err:
        raise images.missing(parent.text) from err
    with image:
        yield RadosReader(image)


@contextmanager
def shown(cluster: Cluster, parent: Parent) -> Iterator[list[str]]:
    """See :meth:`archipelago.contract.contents.Contents.shown`.

    QEMU's driver rbd finds keyrings by itself in a file name alone.
    """
    with reading(cluster, parent):
        settings = cluster.settings
        if parent.of_image:
            settings = settings._replace(pool=settings.image_pool, namespace=settings.image_namespace)
        options = {"id": settings.user, "conf": settings.conf, "keyring": settings.keyring}
        words = [f"{key}={_escaped(value)}" for key, value in options.items() if value]
        place = f"{settings.spec(parent.holder)}@{parent.snapshot}"
        yield ["--format=raw", ":".join(["rbd", _escaped(place), *words])]


def _escaped(text: str) -> str:
    """*text* within a file name of QEMU's driver rbd, which ends a part at ":" and takes a backslash for a sign."""
    return text.replace("\\", "\\\\").replace(":", "\\:")
