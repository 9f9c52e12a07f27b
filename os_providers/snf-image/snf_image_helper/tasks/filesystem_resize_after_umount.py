# SPDX-License-Identifier: BSD-2-Clause
"""FilesystemResizeAfterUmount: NTFS is grown here and not by Windows, when the properties say so."""

from __future__ import annotations

from snf_image_helper.properties import truth
from snf_image_helper.task import WINDOWS, Work

# A terabyte is a matter of seconds: only the bitmap of clusters grows.
_RESIZE_S = 300.0
_CLEAR_S = 60.0


def run(work: Work) -> None:
    """Grow NTFS to the end of its partition, with OFFLINE_NTFSRESIZE.

    One that waits for a check is refused by ntfsresize, and afterwards Windows checks it when it starts, unless
    OFFLINE_NTFSRESIZE_NOCHECK says not to mind.
    """
    if work.family != WINDOWS or work.filesystem != "ntfs" or not truth(work.properties, "OFFLINE_NTFSRESIZE"):
        return
    unchecked = truth(work.properties, "OFFLINE_NTFSRESIZE_NOCHECK")
    # Its question is answered and not forced away: --force, even once, would pass over a check that is due.
    force = ["--force", "--force"] if unchecked else []
    work.run(["ntfsresize", "--no-progress-bar", *force, work.root_device], stdin=b"y\n", timeout_s=_RESIZE_S)
    if unchecked:
        work.run(["ntfsfix", "--clear-dirty", work.root_device], timeout_s=_CLEAR_S)
