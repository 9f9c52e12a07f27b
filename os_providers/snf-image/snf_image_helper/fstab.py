# SPDX-License-Identifier: BSD-2-Clause
"""The guest's table of file systems, see fstab(5): which of it is to be mounted here, and what it lies on."""

from __future__ import annotations

import re
from collections.abc import Sequence

from snf_image_helper.filesystems import EXT, Device
from snf_image_helper.records import NamedTuple
from snf_image_helper.task import TaskError

PATH = "/etc/fstab"

# As many as anybody has; more are somebody's joke.
_MOST_ENTRIES = 128
_TYPES = frozenset((*EXT, "vfat", "ntfs", "ntfs-3g", "ntfs3", "btrfs", "xfs", "auto"))
_OPTIONAL = frozenset({"nofail", "noauto"})
_FLOPPY_OR_CDROM = re.compile(r"/dev/(fd\d|cdrom|dvd|sr\d|scd\d)")

_TAGS = {"UUID": "uuid", "LABEL": "label", "PARTUUID": "partition_uuid", "PARTLABEL": "partition_label"}
_LINKS = {"uuid": "UUID", "label": "LABEL", "partuuid": "PARTUUID", "partlabel": "PARTLABEL"}
_LETTER = re.compile(r"/dev/(?:sd|vd|xvd|hd)([a-z])(\d*)")
# fstab(5): what would end a field is written in octal; udev(7) writes a byte as \x20.
_OCTAL = re.compile(r"\\([0-7]{3})")
_HEXADECIMAL = re.compile(r"\\x([0-9a-fA-F]{2})")


class Entry(NamedTuple):
    """A file system to be mounted at *point*, a path without links to itself and without a "/" at its end."""

    source: str
    point: str
    filesystem: str
    options: tuple[str, ...]

    @property
    def optional(self) -> bool:
        """Whether the guest comes up without it."""
        return not _OPTIONAL.isdisjoint(self.options)

    @property
    def subvolume(self) -> str:
        """The option that names a subvolume of btrfs, or nothing."""
        return next((option for option in self.options if option.startswith(("subvol=", "subvolid="))), "")


def parse(text: str) -> tuple[Entry, ...]:
    """The entries on disks, those above others first. Raises TaskError when there are too many."""
    lines = (line.split() for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = [_entry(fields) for fields in lines if len(fields) >= 3 and _on_a_disk(fields)]
    if len(entries) > _MOST_ENTRIES:
        raise TaskError(f"{PATH} has more than {_MOST_ENTRIES} entries")
    return tuple(sorted(entries, key=lambda entry: entry.point.split("/")))


def _entry(fields: Sequence[str]) -> Entry:
    options = fields[3] if len(fields) > 3 else "defaults"
    parts = [part for part in _unescaped(fields[1]).split("/") if part not in ("", ".")]
    source = _unescaped(fields[0])
    return Entry(source, "".join(f"/{part}" for part in parts), fields[2], tuple(options.split(",")))


def _on_a_disk(fields: Sequence[str]) -> bool:
    source, point, filesystem = fields[:3]
    return point.startswith("/") and filesystem in _TYPES and not _FLOPPY_OR_CDROM.match(source)


def _unescaped(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def device(source: str, devices: Sequence[Device], disks: Sequence[str]) -> Device:
    """The one of *devices* that *source* means; *disks* are those of the instance.

    Raises TaskError when none is meant, or more than one.
    """
    source = source.strip("\"'")
    tag, equals, value = source.partition("=")
    if not equals and source.startswith("/dev/disk/by-"):
        kind, _, name = source.removeprefix("/dev/disk/by-").partition("/")
        tag = _LINKS.get(kind, "")
        value = _HEXADECIMAL.sub(lambda found: chr(int(found[1], 16)), name)
    if tag in _TAGS:
        found = [each for each in devices if _same(tag, getattr(each, _TAGS[tag]), value.strip("\"'"))]
    else:
        wanted = _by_letter(source, disks) or _volume(source)
        found = [each for each in devices if each.path == wanted]
    if len(found) != 1:
        raise TaskError(f"{source}: {'more than one file system' if found else 'no file system'} of the instance is so")
    return found[0]


def _same(tag: str, given: str, wanted: str) -> bool:
    if tag in ("UUID", "PARTUUID"):
        given, wanted = given.lower(), wanted.lower()
    return bool(wanted) and given == wanted


def _by_letter(source: str, disks: Sequence[str]) -> str:
    """A name such as /dev/sda1, which is the guest's name for its first disk's first partition."""
    found = _LETTER.fullmatch(source)
    if found is None or (index := ord(found[1]) - ord("a")) >= len(disks):
        return ""
    disk = disks[index]
    return f"{disk}p{found[2]}" if found[2] and disk[-1].isdigit() else f"{disk}{found[2]}"


def _volume(source: str) -> str:
    """The one name of a logical volume, which is written as /dev/mapper/group-name and as /dev/group/name."""
    parts = source.split("/")
    if len(parts) == 4 and parts[:2] == ["", "dev"] and parts[2] not in ("mapper", "disk"):
        group, name = (part.replace("-", "--") for part in parts[2:])
        return f"/dev/mapper/{group}-{name}"
    return source
