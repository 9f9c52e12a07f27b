# SPDX-License-Identifier: BSD-2-Clause
"""What is kept beside an RBD image (``rbd image-meta``), read and written without opening it.

librbd would open the image for it, and take its exclusive lock to write, which waits half a minute for a holder that
died. These are the methods of Ceph's own class ``rbd`` that librbd calls in the end. A value is never empty: where
librbd lists the pairs it would mix them up.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

import rados

ORIGIN_KEY = "ganeti-cloud.volume.origin"
OWNER_KEY = "ganeti-cloud.volume.metadata"
CLUSTER_KEY = "ganeti-cloud.volume.cluster"
DEPTH_KEY = "ganeti-cloud.volume.depth"
ADOPTED_KEY = "ganeti-cloud.volume.adopted"
# Which features belonging to the object map are off until a flatten has ended.
MAP_KEY = "ganeti-cloud.volume.object-map"

# More pairs than anybody keeps, and more bytes than they take.
_PAIRS = 1000
_ANSWER = 1 << 20


def image_id(pool: rados.Ioctx, name: str) -> str | None:
    """The id of the image called *name*; None when there is none."""
    try:
        encoded = pool.read(f"rbd_id.{name}")
    except rados.ObjectNotFound:
        return None
    return decoded(encoded, 0)[0]


def image_name(pool: rados.Ioctx, identity: str) -> str | None:
    """What the directory calls the image with this id; None for one that is not listed (any more)."""
    try:
        _, answer = pool.execute("rbd_directory", "rbd", "dir_get_name", encoded(identity))
    except rados.ObjectNotFound:
        return None
    return decoded(answer, 0)[0]


def read(pool: rados.Ioctx, identity: str) -> dict[str, str]:
    """All pairs of the image with this id; none when it has no header (any more)."""
    start = encoded("") + struct.pack("<Q", _PAIRS)
    try:
        _, answer = pool.execute(f"rbd_header.{identity}", "rbd", "metadata_list", start, _ANSWER)
    except rados.ObjectNotFound:
        return {}
    (count,) = struct.unpack_from("<I", answer)
    pairs, at = {}, 4
    for _ in range(count):
        key, at = decoded(answer, at)
        pairs[key], at = decoded(answer, at)
    return pairs


def write(pool: rados.Ioctx, identity: str, pairs: Mapping[str, str]) -> None:
    """Set *pairs* of the image with this id, in one step; remove those whose value is empty."""
    for key in (key for key, value in pairs.items() if not value):
        try:
            pool.execute(f"rbd_header.{identity}", "rbd", "metadata_remove", encoded(key))
        except rados.ObjectNotFound:
            pass  # there was no such pair
    kept = {key: value for key, value in pairs.items() if value}
    if kept:
        data = struct.pack("<I", len(kept)) + b"".join(encoded(key) + encoded(value) for key, value in kept.items())
        pool.execute(f"rbd_header.{identity}", "rbd", "metadata_set", data)


def encoded(text: str) -> bytes:
    """*text* as Ceph sends it: a length of four bytes, then the bytes."""
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def decoded(data: bytes, at: int) -> tuple[str, int]:
    """The text that stands in *data* at the offset *at*, and the offset behind it."""
    (length,) = struct.unpack_from("<I", data, at)
    return data[at + 4 : at + 4 + length].decode(errors="replace"), at + 4 + length
