# SPDX-License-Identifier: BSD-2-Clause
"""Bringing a disk image into the catalogue."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Callable

import rbd

from archipelago.catalogue.qemu_img import Source, convert
from archipelago.rados.cluster import Cluster, holders, host_of
from archipelago.rados.publishing import discard_unfinished, exists, published, unfinished
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import SNAPSHOT, ImageRecord, checked_name, rados_name

_CHUNK = 4 << 20

Progress = Callable[[str, float], None]


def import_image(cluster: Cluster, name: str, source: Source, progress: Progress) -> ImageRecord:
    """Make the image *name* with the content of *source*; *progress* is told each phase and its percentage.

    The image appears in the catalogue when it is whole: copied, read back for its SHA-256, made a protected snapshot.
    Raises RequestError when there is such an image, or when another import of that name is under way.
    """
    refuse_existing(cluster, name)
    entry = rados_name(name)
    pool = cluster.image_pool
    discard_unfinished(cluster, pool, entry)
    # Not within the next block: when another import was quicker, its draft is not ours to discard.
    rbd.RBD().create(pool, unfinished(entry), source.size)
    with published(cluster, pool, entry) as draft:
        # Open all the time, also between the steps: so another importer sees that this one is alive.
        with rbd.Image(pool, draft, read_only=False) as image:
            convert(source, cluster.settings, draft, lambda percent: progress("copying", percent))
            record = ImageRecord(
                name=name,
                size_bytes=source.size,
                sha256=_sha256(cluster, draft, source.size, lambda percent: progress("checking", percent)),
                source_format=source.format,
                imported=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            )
            for key, value in record.encode().items():
                image.metadata_set(key, value)
            image.create_snap(SNAPSHOT)
            # Clones of the first format need it; those of the second do without.
            image.protect_snap(SNAPSHOT)
    return record


def refuse_existing(cluster: Cluster, name: str) -> None:
    """Raise RequestError when an image cannot be imported as *name*: it exists, or is just being imported."""
    entry = rados_name(checked_name(name))
    if exists(cluster.image_pool, entry):
        raise RequestError(
            f"there is an image {name!r} already",
            hint=f"import under another name, or remove it first: archipelago image remove {name}",
        )
    importers = holders(cluster.image_pool, unfinished(entry))
    if importers:
        raise RequestError(
            f"image {name!r} is being imported from {host_of(importers[0])}",
            hint="wait for that import to end; if it was killed, half a minute is enough",
        )


def _sha256(cluster: Cluster, draft: str, size: int, on_percent: Callable[[float], None]) -> str:
    """The SHA-256 of what the cluster holds under *draft*; holes are hashed without being read."""
    digest = hashlib.sha256()
    zeros = bytes(_CHUNK)
    at = 0

    def zeros_until(end: int) -> None:
        nonlocal at
        while at < end:
            step = min(_CHUNK, end - at)
            digest.update(zeros[:step])
            at += step

    with rbd.Image(cluster.image_pool, draft, read_only=True) as image:
        extents: list[tuple[int, int]] = []
        image.diff_iterate(0, size, None, lambda start, length, data: extents.append((start, length)) if data else None)
        for start, length in extents:
            zeros_until(start)
            while at < start + length:
                piece = image.read(at, min(_CHUNK, start + length - at))
                digest.update(piece)
                at += len(piece)
                on_percent(100 * at / size)
        zeros_until(size)
    on_percent(100)
    return digest.hexdigest()
