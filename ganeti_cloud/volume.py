# SPDX-License-Identifier: BSD-2-Clause
"""Contract "volume": what a volume is called, and what ``attach`` tells Ganeti about it.

See ganeti-extstorage-interface(7). Ganeti makes the names (``<uuid>.ext.disk<N>``, with ``.snap`` behind it for an
export); the RADOS image of a volume has the same name.
"""

from __future__ import annotations

from typing import NamedTuple

from ganeti_cloud.errors import RequestError

MIB = 1 << 20

# The characters in the names of volumes and their snapshots.
ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")

# The snapshot that stands for one moment of a volume while Ganeti exports it.
EXPORT_SNAPSHOT = "ganeti-export"

# Names that end so belong to a volume or an image that is still being made and was never published.
UNFINISHED_SUFFIX = ".unfinished"


def checked_name(name: str) -> str:
    """*name*, when a volume may be called so. Raises RequestError otherwise."""
    reserved = name.startswith("image.") or name.endswith(UNFINISHED_SUFFIX)
    if not 0 < len(name) <= 128 or not set(name) <= ALLOWED or not name[0].isalnum() or reserved:
        raise RequestError(
            f"{name!r} cannot be the name of a volume",
            hint="VOL_NAME comes from Ganeti as <uuid>.ext.disk<N>; run the script the way Ganeti does",
        )
    return name


def checked_snapshot(name: str) -> str:
    """*name*, when a person may call a snapshot of a volume so. Raises RequestError otherwise."""
    if not 0 < len(name) <= 96 or not set(name) <= ALLOWED or not name[0].isalnum() or name == EXPORT_SNAPSHOT:
        raise RequestError(
            f"{name!r} cannot be the name of a snapshot",
            hint="use letters, digits, '.', '_' and '-', with a letter or digit first, at most 96 in all",
        )
    return name


def instance_of(metadata: str) -> str:
    """The instance in what Ganeti has kept beside a volume, ``originstname+INSTANCE``."""
    return metadata.removeprefix("originstname+")


class Attachment(NamedTuple):
    """How a node reaches an attached volume: a block device, a URI for QEMU, or both."""

    device: str | None
    uri: str | None

    def encode(self) -> str:
        """The stdout of ``attach``: the device (or an empty line), then one line a hypervisor's URI."""
        lines = [self.device or ""]
        if self.uri is not None:
            lines.append(f"kvm:{self.uri}")
        return "\n".join(lines) + "\n"

    @classmethod
    def decode(cls, text: str) -> Attachment:
        """The reverse of :meth:`encode`, reading as Ganeti does."""
        first, *others = text.splitlines() or [""]
        uris = [line.removeprefix("kvm:") for line in others if line.startswith("kvm:")]
        return cls(device=first or None, uri=uris[0] if uris else None)
