# SPDX-License-Identifier: BSD-2-Clause
"""qemu-img: what a file contains, and bringing it into the cluster. See qemu-img(1).

An image file is hostile input: it is only ever opened by qemu-img, with its format named and never guessed, and a
file that refers to other files of this machine is refused.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from archipelago.parameters import Settings
from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.process import follow, run

FORMATS = ("raw", "qcow2")

_QCOW2_MAGIC = b"QFI\xfb"
_SECTOR = 512
_INFO_S = 60.0
_CONVERT_S = 6 * 3600.0
_PROGRESS = re.compile(r"\(\s*(\d+(?:\.\d+)?)/100%\)")


class Source(NamedTuple):
    """A file to import: its format, and the size in bytes of the disk in it."""

    path: Path
    format: str
    size: int


def examine(path: Path, format_name: str | None = None) -> Source:
    """What the file at *path* holds, as *format_name* or by its first bytes. Raises RequestError when unusable."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # seen before it is opened: opening a pipe would wait for a writer
            raise RequestError(
                f"{path} is not a file",
                hint="name the file of an image; what is on a device must be copied into a file first",
            )
        with path.open("rb") as stream:
            found = "qcow2" if stream.read(4) == _QCOW2_MAGIC else "raw"
    except OSError as err:
        raise RequestError(f"{path}: {err.strerror}", hint="name a file that root can read") from err
    chosen = format_name or found
    info = _info(path, chosen)
    _refuse_references(path, info)
    size = int(info["virtual-size"])
    if size == 0:
        raise RequestError(f"{path} is empty", hint="check how the file was made or downloaded")
    if chosen == "raw" and path.stat().st_size % _SECTOR:
        # qemu-img would fill the last sector up, and the image would have another SHA-256 than the file
        raise RequestError(
            f"{path} is not a disk: {path.stat().st_size} bytes are no whole number of sectors",
            hint="a compressed image must be unpacked first; a download may have been cut off",
        )
    return Source(path, chosen, size)


def _info(path: Path, format_name: str) -> dict[str, Any]:
    argv = ["qemu-img", "info", "--output=json", "--image-opts", _options(_source_options(path, format_name))]
    try:
        info = json.loads(run(argv, timeout_s=_INFO_S))
    except CommandError as err:
        raise RequestError(
            f"{path} is not a readable {format_name} image ({err})",
            hint="compare its checksum with the publisher's, or name its format with --format",
        ) from err
    assert isinstance(info, dict)
    return info


def _refuse_references(path: Path, info: dict[str, Any]) -> None:
    details = info.get("format-specific", {}).get("data", {})
    for what, target in (
        ("a backing file", info.get("backing-filename")),
        ("an external data file", details.get("data-file")),
    ):
        if target:
            raise RequestError(
                f"{path} has {what} ({target}), which may be any file of this machine",
                hint="make it complete where it was made: qemu-img convert -O qcow2 FILE WHOLE.qcow2",
            )


def convert(source: Source, settings: Settings, rados_name: str, on_percent: Callable[[float], None]) -> None:
    """Write the content of *source* into the existing RBD image *rados_name* of the same size.

    *on_percent* is told the progress, 0 to 100. Blocks of zeros are not written.
    """
    target = {
        "driver": "rbd",
        "pool": settings.image_pool,
        **({"namespace": settings.image_namespace} if settings.image_namespace else {}),
        "image": rados_name,
        "user": settings.user,
        "conf": settings.conf,
    }
    argv = ["qemu-img", "convert", "-p", "-n", "-W", "-m", "8", "--image-opts", "--target-image-opts"]
    argv += [_options(_source_options(source.path, source.format)), _options(target)]
    rest = ""

    def on_text(text: str) -> None:
        nonlocal rest
        rest += text
        found = _PROGRESS.findall(rest)
        if found:
            on_percent(float(found[-1]))
            rest = rest[-16:]

    follow(argv, on_text, timeout_s=_CONVERT_S, hint="see `ceph -s` and `ceph df`; nothing of the image is kept")


def _source_options(path: Path, format_name: str) -> dict[str, str]:
    """*path* as qemu's options: as a bare argument, ``nbd:…`` or ``json:…`` would not be the name of a file."""
    return {"driver": format_name, "file.driver": "file", "file.filename": str(path.absolute())}


def _options(values: dict[str, str]) -> str:
    """*values* as qemu's key=value list, in which a comma is doubled."""
    return ",".join(f"{key}={value.replace(',', ',,')}" for key, value in values.items())
