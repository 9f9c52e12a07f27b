# SPDX-License-Identifier: BSD-2-Clause
"""Which QEMU can be trusted with a volume in a file.

The FUSE export of older QEMU hands its one request buffer to the block layer, and reads the next request into it
while a write still waits ("fuse: Copy write buffer content before polling" mends it). Over a file the data of
parallel writes get mixed up: of 1,024 blocks that 16 writers wrote at once, QEMU 7.2.22 stored half wrongly, and
10.0.13 none. A volume in RADOS is not harmed: librbd copies what it is given before it waits
(rbd_disable_zero_copy_writes).
"""

from __future__ import annotations

import re

from ganeti_cloud.errors import CommandError, StorageError
from ganeti_cloud.process import run

# The oldest that was measured to be sound.
SOUND = (10, 0, 13)

_VERSION = re.compile(r"version (\d+)\.(\d+)\.(\d+)")
_VERSION_S = 10.0


def refuse_unsound() -> None:
    """Raise StorageError when this node's qemu-storage-daemon would mix up what is written to a file."""
    found = fault()
    if found:
        raise StorageError(
            f"the driver file is not safe on this node: {found}",
            hint="upgrade to Debian 13 or a newer QEMU (package qemu-system-common), or keep the disk in Ceph: "
            "driver=rados",
        )


def fault() -> str | None:
    """What is wrong with the QEMU of this node; None when it can be trusted."""
    try:
        return fault_of(run(["qemu-storage-daemon", "--version"], timeout_s=_VERSION_S))
    except CommandError:
        return "qemu-storage-daemon does not run"


def fault_of(told: str) -> str | None:
    """What is wrong with the QEMU that says *told* of its version; None for one that can be trusted."""
    found = _VERSION.search(told)
    if found is None:
        return "qemu-storage-daemon does not tell its version"
    version = tuple(int(part) for part in found.groups())
    if version < SOUND:
        return f"qemu-storage-daemon {'.'.join(found.groups())} mixes up parallel writes"
    return None
