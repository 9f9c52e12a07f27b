# SPDX-License-Identifier: BSD-2-Clause
"""The helper image: the kernel and the root file system that the machine boots, and the manifest of both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

KERNEL = "vmlinuz"
ROOT = "root.ext4"
MANIFEST = "manifest.json"

# What the node and the image agree on: the kernel's command line, the disks, the port, the job. A change raises it.
FORMAT = 1


class Manifest(NamedTuple):
    """The checksums of the parts of a helper image, and the versions of Debian's packages in it."""

    format: int
    sha256: Mapping[str, str]
    packages: Mapping[str, str]

    def encode(self) -> str:
        return json.dumps(self._asdict(), indent=1, sort_keys=True) + "\n"


def hashed(path: Path) -> str:
    """The SHA-256 of the file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
