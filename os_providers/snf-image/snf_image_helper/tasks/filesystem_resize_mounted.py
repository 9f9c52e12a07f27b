# SPDX-License-Identifier: BSD-2-Clause
"""FilesystemResizeMounted: what grows while it is mounted: XFS and btrfs."""

from __future__ import annotations

import os

from snf_image_helper import devices
from snf_image_helper.mounting import ROOT
from snf_image_helper.task import Work

_TIMEOUT_S = 1800.0
# The size of an allocation group is fixed when an XFS is made: one of 0.5 GB grown to 8 TB has 16,000 of them, and took
# more than a minute.
_MUCH = 1000
# The kernel's own floor for BTRFS_IOC_RESIZE.
_BTRFS_LEAST = 256 << 20


def run(work: Work) -> None:
    """Let the root fill its partition."""
    if work.filesystem == "xfs":
        _warn_of_many_groups(work)
        work.run(["xfs_growfs", "-d", ROOT], timeout_s=_TIMEOUT_S)
    elif work.filesystem == "btrfs":
        if devices.sectors(work.root_device) * 512 < _BTRFS_LEAST:
            work.warn("the btrfs is left as it is: the kernel resizes none to less than 256 MiB")
            return
        work.run(["btrfs", "filesystem", "resize", "max", ROOT], timeout_s=_TIMEOUT_S)


def _warn_of_many_groups(work: Work) -> None:
    now = os.statvfs(ROOT)
    if devices.sectors(work.root_device) * 512 > now.f_blocks * now.f_frsize * _MUCH:
        work.warn(f"the XFS was made for less than a {_MUCH}th of the disk: growing takes long, and it will be slow")
