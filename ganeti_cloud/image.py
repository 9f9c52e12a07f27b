# SPDX-License-Identifier: BSD-2-Clause
"""Contract "image": how an image is named, what its record holds, and how ``origin=`` of a new disk names a parent.

A name has versions, the newest last. A version is the SHA-256 of a content that never changes, with properties. The
record of a name is JSON text: ``{"versions": [{"sha256": ..., ...}]}``, with the fields of :class:`Version`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from ganeti_cloud import volume
from ganeti_cloud.errors import RequestError

_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")
_HEX = frozenset("0123456789abcdef")
_PROPERTY = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")

# What contents are compared and shared by: an object of RBD.
BLOCK = 4 << 20

# What holds contents is called so in the store; no volume can be.
PREFIX = "image."

# As many digits of a SHA-256 as tell versions apart for certain, and a person still likes to see.
SHORT = 12
_DIGITS = 64

_MARK = "@sha256:"
# What stands before the name of a snapshot in origin=.
SNAPSHOT = "snapshot:"

# The largest value of a property, and of all of one version.
_VALUE = 4096
_PROPERTIES = 64


def checked_name(name: str) -> str:
    """*name*, when an image may be called so. Raises RequestError otherwise."""
    if not 0 < len(name) <= 96 or not set(name) <= _ALLOWED or not name[0].isalnum() or ".unfinished" in name:
        raise RequestError(
            f"{name!r} cannot be the name of an image",
            hint="use small letters, digits, '.' and '-', with a letter or digit first, at most 96 in all",
        )
    return name


class Reference(NamedTuple):
    """An image as a person names it: the version whose SHA-256 begins with *digits*, or the newest for none."""

    name: str
    digits: str


class SnapshotReference(NamedTuple):
    """A snapshot of a volume, as a person names it."""

    volume: str
    snapshot: str


def parse_reference(text: str) -> Reference:
    """``NAME`` or ``NAME@sha256:DIGITS``. Raises RequestError."""
    name, mark, digits = text.partition(_MARK)
    checked_name(name)
    if mark and not (SHORT <= len(digits) <= _DIGITS and set(digits) <= _HEX):
        raise RequestError(
            f"{text!r} names no version of an image",
            hint=f"write NAME{_MARK}DIGITS with {SHORT} to {_DIGITS} digits: `archipelago image list --versions`",
        )
    return Reference(name, digits)


def parse_snapshot(text: str) -> SnapshotReference:
    """``VOLUME@SNAP``. Raises RequestError."""
    name, mark, snapshot = text.partition("@")
    if not mark or not snapshot or len(snapshot) > 128 or not set(snapshot) <= volume.ALLOWED:
        raise RequestError(
            f"{text!r} names no snapshot of a volume",
            hint="write VOLUME@SNAPSHOT; `archipelago snapshot list` shows what there is",
        )
    return SnapshotReference(volume.checked_name(name), snapshot)


def parse_origin(text: str) -> Reference | SnapshotReference:
    """What ``origin=`` of a disk means: a reference, or ``snapshot:VOLUME@SNAP``. Raises RequestError."""
    if text.startswith(SNAPSHOT):
        return parse_snapshot(text.removeprefix(SNAPSHOT))
    return parse_reference(text)


class Version(NamedTuple):
    """One version of an image. *sha256* is over the whole raw content, *size_bytes* long; *imported* is UTC.

    The content is the snapshot *snapshot* of *holder* in the store.
    """

    sha256: str
    size_bytes: int
    source_format: str
    imported: str
    properties: Mapping[str, str]
    holder: str
    snapshot: str


class Image(NamedTuple):
    """A name and its versions, the newest last; there is always one."""

    name: str
    versions: tuple[Version, ...]

    @property
    def newest(self) -> Version:
        """The version that the bare name means."""
        return self.versions[-1]

    def version(self, digits: str) -> Version | None:
        """The version whose SHA-256 begins with *digits*; the newest for none."""
        return next((each for each in reversed(self.versions) if each.sha256.startswith(digits)), None)

    def encode(self) -> str:
        """The text of the record."""
        return json.dumps({"versions": [version._asdict() for version in self.versions]}, sort_keys=True)

    @classmethod
    def decode(cls, name: str, text: str) -> Image:
        """The reverse of :meth:`encode`. What a later release added is passed over."""
        versions = (Version(*(entry[field] for field in Version._fields)) for entry in json.loads(text)["versions"])
        return cls(name, tuple(versions))


def checked_properties(properties: Mapping[str, str]) -> Mapping[str, str]:
    """*properties*, when a version may have them. Raises RequestError otherwise."""
    for key, value in properties.items():
        if not 0 < len(key) <= 64 or not set(key) <= _PROPERTY or not value.isprintable() or len(value) > _VALUE:
            raise RequestError(
                f"{key}={value[:64]!r} cannot be a property of an image",
                hint=f"a key is made of capitals, digits and '_', at most 64; a value is one line of at most {_VALUE}",
            )
    if len(properties) > _PROPERTIES:
        raise RequestError(
            f"an image has at most {_PROPERTIES} properties",
            hint="take some away with --unset KEY",
        )
    return properties
