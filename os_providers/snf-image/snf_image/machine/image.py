# SPDX-License-Identifier: BSD-2-Clause
"""The helper image: the kernel and the root file system that the machine boots, and the manifest of both."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.errors import CloudError
from ganeti_cloud.files import replace_file

KERNEL = "vmlinuz"
ROOT = "root.ext4"
MANIFEST = "manifest.json"

# What the node and the image agree on: the kernel's command line, the disks, the port, the job. A change raises it.
FORMAT = 1

FOLDER = Path("/usr/lib/ganeti-cloud/snf-image-helper")
# What was found out since the last boot, for root alone.
STATE = Path("/run/ganeti-cloud/snf-image")

_PACKAGE = "ganeti-os-snf-image-helper"
_HINT = f"install {_PACKAGE} again, in the same version as ganeti-os-snf-image"


class Manifest(NamedTuple):
    """The checksums of the parts of a helper image, and the versions of Debian's packages in it."""

    format: int
    sha256: Mapping[str, str]
    packages: Mapping[str, str]

    def encode(self) -> str:
        """As the text of a manifest file."""
        return json.dumps(self._asdict(), indent=1, sort_keys=True) + "\n"


class HelperImage(NamedTuple):
    """A helper image that is what its manifest says. *name* changes with its contents."""

    kernel: Path
    root: Path
    name: str
    packages: Mapping[str, str]


def verified(folder: Path = FOLDER, state: Path = STATE) -> HelperImage:
    """The helper image in *folder*. Raises CloudError when there is none, or one that is not ours.

    Its parts are hashed once: as long as none of them changes in place, time or size, that is not done again.
    """
    manifest = _manifest(folder)
    parts = {part: folder / part for part in (KERNEL, ROOT)}
    looks = {part: _look(path) for part, path in parts.items()}
    wanted = {part: manifest.sha256.get(part, "") for part in parts}
    record = json.dumps({"looks": looks, "sha256": wanted}, sort_keys=True)
    known = state / f"verified-{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}.json"
    if _read(known) != record:
        for part, path in parts.items():
            if hashed(path) != wanted[part]:
                raise CloudError(f"{path}: this is not the file that the helper image was made with", hint=_HINT)
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(known, record, mode=0o600)
    return HelperImage(parts[KERNEL], parts[ROOT], "-".join(wanted[part][:12] for part in parts), manifest.packages)


def hashed(path: Path) -> str:
    """The SHA-256 of the file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as err:
        raise CloudError(f"there is no helper image in {folder}", hint=f"install {_PACKAGE}") from err
    except (OSError, ValueError, TypeError) as err:
        raise CloudError(f"{path}: it cannot be read: {err}", hint=_HINT) from err
    if manifest.format != FORMAT:
        raise CloudError(f"{path}: the helper image has format {manifest.format}, wanted is {FORMAT}", hint=_HINT)
    return manifest


def _look(path: Path) -> list[int]:
    """What changes with the file."""
    try:
        seen = os.stat(path)
    except OSError as err:
        raise CloudError(f"{path}: {err.strerror}", hint=_HINT) from err
    return [seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
