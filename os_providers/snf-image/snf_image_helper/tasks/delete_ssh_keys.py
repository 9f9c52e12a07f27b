# SPDX-License-Identifier: BSD-2-Clause
"""DeleteSSHKeys: the image's host keys, which all its copies share, give way to new ones."""

from __future__ import annotations

from snf_image_helper import host_keys, sshd
from snf_image_helper.task import LINUX, Work

_SSHD = ("/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd")


def run(work: Work) -> None:
    """Remove the host keys; make new ones here, since Debian's sshd does not start without, or leave it to cloud-init.

    The BSDs make theirs at boot.
    """
    root = work.root
    settings = sshd.settings(root)
    there = host_keys.found(root, settings)
    for path in there:
        root.remove(path)
    if work.cloud_init:
        work.cloud_config["ssh_deletekeys"] = True
    elif work.family == LINUX and (there or any(root.exists(path) for path in _SSHD)):
        host_keys.make(root, work.run, host_keys.to_make(there, settings), f"root@{work.job.hostname}")
