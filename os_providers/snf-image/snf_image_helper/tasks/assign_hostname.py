# SPDX-License-Identifier: BSD-2-Clause
"""AssignHostname: the guest gets the instance's name."""

from __future__ import annotations

from snf_image_helper import hosts
from snf_image_helper.task import WINDOWS, Work


def run(work: Work) -> None:
    """Give the guest its name in its files, and by cloud-init, which would set that of the image again."""
    if work.family == WINDOWS:
        from snf_image_helper.windows import naming

        naming.assign(work)
        return
    hosts.assign(work.root, work.job.hostname)
    if work.cloud_init:
        work.meta_data["local-hostname"] = work.job.hostname
