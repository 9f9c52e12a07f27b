# SPDX-License-Identifier: BSD-2-Clause
"""FilesystemResizeUnmounted: what grows before it is mounted: logical volumes, and ext2, ext3 and ext4."""

from __future__ import annotations

from snf_image_helper.filesystems import EXT
from snf_image_helper.task import LINUX, TaskError, Work

_TIMEOUT_S = 1800.0
# e2fsck(8): 0 is no errors, 1 is errors corrected.
_GOOD = (0, 1)


def run(work: Work) -> None:
    """Let the root fill its partition. Raises TaskError when the file system needs more repair than is safe."""
    if work.volume is not None:
        from snf_image_helper import lvm

        lvm.grow(work.run, work.volume)
    if work.filesystem in EXT:
        _grow_ext(work)
    elif work.family != LINUX and not work.filesystem:
        work.warn(f"file systems of {work.family} are not grown here: let the guest do it")


def _grow_ext(work: Work) -> None:
    try:
        work.run(["e2fsck", "-p", work.root_device], allowed=_GOOD, timeout_s=_TIMEOUT_S)
    except TaskError as error:
        raise TaskError(f"{work.root_device} is damaged: {error}: repair the image with e2fsck") from error
    # Without -f it asks for a full check after every mount since the last.
    work.run(["resize2fs", "-f", work.root_device], timeout_s=_TIMEOUT_S)
