# SPDX-License-Identifier: BSD-2-Clause
"""The two capabilities that the daemon needs, and how it gets rid of the rest."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path

from ganeti_cloud.errors import CloudError

# linux/capability.h
NEEDED = {"CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13}

_SETPRIV = "/usr/bin/setpriv"


_STATUS = "/proc/self/status"


def check(status: str = _STATUS) -> None:
    """Raise CloudError when this process lacks a capability.

    Without CAP_NET_ADMIN the kernel would hand over packets and ignore the verdicts: guests' packets would pile up.
    """
    effective = _effective(status)
    lacking = [name for name, bit in NEEDED.items() if not effective >> bit & 1]
    if lacking:
        raise CloudError(
            f"this process has no {' and no '.join(lacking)}", hint="start it as root, or by systemctl start nfdhcpd"
        )


def has_more(status: str = _STATUS) -> bool:
    """Whether this process has capabilities that it does not need."""
    return bool(_effective(status) & ~sum(1 << bit for bit in NEEDED.values()))


def _effective(status: str) -> int:
    text = Path(status).read_text(encoding="ascii", errors="replace")
    return int(text.partition("\nCapEff:")[2].split()[0], 16)


def become(user: str, argv: Sequence[str], state: Path) -> None:
    """Run *argv* in the place of this process as *user*, with no right of root but the two needed. Never returns.

    *state* is made for it when it is not there. Raises CloudError when there is no such user, or no setpriv(1).
    """
    try:
        entry = pwd.getpwnam(user)
    except KeyError as err:
        raise CloudError(f"there is no user {user}", hint="the package nfdhcpd makes it; --user names another") from err
    try:
        if not state.exists():
            state.mkdir(mode=0o755, parents=True)
            shutil.chown(state, entry.pw_uid, entry.pw_gid)
    except OSError as err:
        raise CloudError(f"{state}: {err.strerror}", hint="set state in section [service]") from err
    try:
        os.execv(_SETPRIV, setpriv(entry, argv))
    except OSError as err:
        raise CloudError(f"{_SETPRIV}: {err.strerror}", hint="apt install util-linux") from err


def setpriv(entry: pwd.struct_passwd, argv: Sequence[str]) -> list[str]:
    """The command line that starts *argv* as the user *entry*."""
    only = "-all," + ",".join("+" + name.removeprefix("CAP_").lower() for name in NEEDED)
    return [
        _SETPRIV,
        f"--reuid={entry.pw_uid}",
        f"--regid={entry.pw_gid}",
        "--clear-groups",
        f"--inh-caps={only}",
        f"--ambient-caps={only}",
        f"--bounding-set={only}",
        "--no-new-privs",
        "--",
        *argv,
    ]
