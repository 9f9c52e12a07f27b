# SPDX-License-Identifier: BSD-2-Clause
"""UmountImage: everything of the guest is unmounted and on its disks."""

from __future__ import annotations

from snf_image_helper import mounting
from snf_image_helper.task import Work


def run(work: Work) -> None:
    """See above. Raises TaskError."""
    for target in work.mounts:
        mounting.check_written(target)
    mounting.unmount_all(work)
    if work.volumes:
        from snf_image_helper import lvm

        lvm.deactivate(work.run)
