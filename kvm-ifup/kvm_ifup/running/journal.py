# SPDX-License-Identifier: BSD-2-Clause
"""What was done, in the system's log."""

from __future__ import annotations

import syslog

from ganeti_cloud.errors import one_line


def tell(line: str) -> None:
    """Log *line*, whatever is in it, as one."""
    syslog.openlog("kvm-ifup", syslog.LOG_PID, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_INFO, one_line(line).replace("\0", ""))
