# SPDX-License-Identifier: BSD-2-Clause
"""qemu-img: what a file contains. See qemu-img(1).

An image file is hostile input: it is only ever opened by qemu's tools, confined, with its format named and never
guessed, and a file that refers to other files of this machine is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.imagefile.confined import FILE, confined
from ganeti_cloud.imagefile.fetching import require_file
from ganeti_cloud.imagefile.formats import HEAD, TAIL, disk_format, reference
from ganeti_cloud.imagefile.unpacking import too_large
from ganeti_cloud.process import run

_SECTOR = 512
_INFO_S = 60.0
_CHECK_S = 1800.0

# Exit status of qemu-img check for an image that only takes more space than it needs.
_LEAKS = 3


class Source(NamedTuple):
    """A disk image to be read: its file, format, the size in bytes of the disk in it, and what errors call it."""

    path: Path
    format: str
    size: int
    shown: str


def examine(path: Path, format_name: str | None, limit: int, shown: str) -> Source:
    """What the file at *path* holds, as *format_name* or by its first bytes. Raises RequestError when unusable.

    So is one that is damaged, refers to other files, or holds a disk of more than *limit* bytes.
    """
    length = require_file(path)
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        stream.seek(max(0, length - TAIL))
        tail = stream.read(TAIL)
    chosen = format_name or disk_format(head, tail)
    _refuse_reference(shown, reference(head, chosen))
    info = _info(path, chosen, shown)
    _refuse_reference(shown, _reference(info))
    size = int(info["virtual-size"])
    if size == 0:
        raise RequestError(f"{shown} is empty", hint="check how the file was made or downloaded")
    if chosen == "raw" and length % _SECTOR:
        # qemu would fill the last sector up, and the image would have another SHA-256 than the file
        raise RequestError(
            f"{shown} is not a disk: {length} bytes are no whole number of sectors",
            hint="compare its size and its checksum with the publisher's; a download may have been cut off",
        )
    if size > limit:
        raise too_large(shown, limit)
    if chosen == "qcow2":
        _check(path, shown)
    return Source(path, chosen, size, shown)


def _info(path: Path, format_name: str, shown: str) -> dict[str, Any]:
    argv = ["qemu-img", "info", "--output=json", "--image-opts", options(format_name)]
    try:
        info = json.loads(run(confined(argv, file=path), timeout_s=_INFO_S, shown="qemu-img info"))
    except CommandError as err:
        raise unreadable(shown, format_name, err) from err
    assert isinstance(info, dict)
    return info


def _check(path: Path, shown: str) -> None:
    argv = ["qemu-img", "check", "-q", "--image-opts", options("qcow2")]
    try:
        run(confined(argv, file=path), timeout_s=_CHECK_S, shown="qemu-img check")
    except CommandError as err:
        if err.status != _LEAKS:
            raise unreadable(shown, "qcow2", err) from err


def unreadable(shown: str, format_name: str, err: Exception) -> RequestError:
    """The error for a file that is not what it seems."""
    return RequestError(
        f"{shown} is not a readable {format_name} image ({err})",
        hint="compare its checksum with the publisher's, or name its format with --format",
    )


def _reference(info: dict[str, Any]) -> str | None:
    """What other file an image needs, of which qemu-img says *info*."""
    details = info.get("format-specific", {}).get("data", {})
    extents = [extent.get("filename") for extent in details.get("extents", [])]
    if info.get("backing-filename"):
        return "a backing file"
    if details.get("data-file"):
        return "an external data file"
    return "extents in other files" if set(extents) - {FILE} else None


def _refuse_reference(shown: str, what: str | None) -> None:
    if what is not None:
        raise RequestError(
            f"{shown} has {what}, which may be any file of this machine",
            hint="make it complete where it was made: qemu-img convert -O qcow2 FILE WHOLE.qcow2",
        )


def options(format_name: str) -> str:
    """The confined file as qemu's options: as a bare argument its format would be guessed."""
    return f"driver={format_name},file.driver=file,file.filename={FILE}"
