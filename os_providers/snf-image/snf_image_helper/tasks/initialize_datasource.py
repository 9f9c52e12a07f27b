# SPDX-License-Identifier: BSD-2-Clause
"""InitializeDatasource: what the tasks before have for cloud-init is handed to it."""

from __future__ import annotations

from snf_image_helper import cloud_init
from snf_image_helper.task import Work


def run(work: Work) -> None:
    """Write the NoCloud seed, where cloud-init is to do its part."""
    if work.cloud_init:
        cloud_init.write_seed(work.root, work.meta_data, work.cloud_config, work.job.user_data)
    elif work.job.user_data:
        work.warn("cloud_userdata is given, but the image has no cloud-init that is switched on: nobody will read it")
