# SPDX-License-Identifier: BSD-2-Clause
"""What went wrong, in the system's log; nobody reads what a hook says that succeeds, as ours always do."""

from __future__ import annotations

import os

from ganeti_cloud.errors import one_line

IDENTIFIER = "ganeti-cloud-hooks"
_LOG = "/dev/log"
_WARNING = 3 << 3 | 4  # LOG_DAEMON, LOG_WARNING (RFC 3164, 4.1.1)
_LONGEST = 2000


def warn(line: str) -> None:
    """Log *line*, whatever is in it, as one. It is lost when the log does not take it at once."""
    import socket  # hardly ever needed, and half of what the hook costs

    # Not syslog(3): that waits for a log that is stuck, and it is stuck when the disk is.
    text = f"<{_WARNING}>{IDENTIFIER}[{os.getpid()}]: {one_line(line)[:_LONGEST]}".replace("\0", "")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as log:
            log.sendto(text.encode("utf-8", "replace"), _LOG)
    except OSError:
        pass
