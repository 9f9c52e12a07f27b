# SPDX-License-Identifier: BSD-2-Clause
"""SELinuxAutorelabel: the guest labels its files anew, those that were written here among them."""

from __future__ import annotations

import re

from snf_image_helper.task import Work

CONFIG = "/etc/selinux/config"
MARK = "/.autorelabel"

_ON = re.compile(r"^\s*SELINUX\s*=\s*(enforcing|permissive)\s*$", re.MULTILINE | re.IGNORECASE)


def run(work: Work) -> None:
    """Leave the mark by which a guest with SELinux labels everything at its next boot: selinux(8)."""
    if work.root.exists(CONFIG) and _ON.search(work.root.read_text(CONFIG)):
        work.root.write(MARK, b"")
