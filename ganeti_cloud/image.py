# SPDX-License-Identifier: BSD-2-Clause
"""Contract "image": how an image is named, and what is kept beside its content.

An image is an immutable, protected snapshot in the store of the volumes. ``origin=NAME`` of a new disk names it.
"""

from __future__ import annotations

from typing import NamedTuple

from ganeti_cloud.errors import RequestError

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")

# What contents are compared and shared by: an object of RBD.
BLOCK = 4 << 20

PREFIX = "image."
SNAPSHOT = "image"


def checked_name(name: str) -> str:
    """*name*, when an image may be called so. Raises RequestError otherwise."""
    if not 0 < len(name) <= 96 or not set(name) <= _ALLOWED or not name[0].isalnum() or ".unfinished" in name:
        raise RequestError(
            f"{name!r} cannot be the name of an image",
            hint="use small letters, digits, '.' and '-', with a letter or digit first, at most 96 in all",
        )
    return name


def rados_name(name: str) -> str:
    """The RADOS image that holds the image called *name*."""
    return PREFIX + name


class ImageRecord(NamedTuple):
    """What the store knows of one image. *sha256* is over the whole content, *size_bytes* long."""

    name: str
    size_bytes: int
    sha256: str
    source_format: str
    imported: str

    def encode(self) -> dict[str, str]:
        """The key/value pairs kept beside the content (RBD image-meta). Clones inherit them."""
        return {
            "ganeti-cloud.image.sha256": self.sha256,
            "ganeti-cloud.image.source-format": self.source_format,
            "ganeti-cloud.image.imported": self.imported,
        }

    @classmethod
    def decode(cls, name: str, size_bytes: int, pairs: dict[str, str]) -> ImageRecord:
        """The reverse of :meth:`encode`. A missing pair reads as an empty text."""
        return cls(
            name=name,
            size_bytes=size_bytes,
            sha256=pairs.get("ganeti-cloud.image.sha256", ""),
            source_format=pairs.get("ganeti-cloud.image.source-format", ""),
            imported=pairs.get("ganeti-cloud.image.imported", ""),
        )
