# SPDX-License-Identifier: BSD-2-Clause
"""DisableRemoteDesktopConnections: nobody gets in by Remote Desktop before the password is the new one."""

from __future__ import annotations

from snf_image_helper.task import WINDOWS, TaskError, Work
from snf_image_helper.windows import setup_complete
from snf_image_helper.windows.registry import close_remote_desktop

_OPEN_AGAIN = (
    r'reg.exe add "HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server" '
    "/v fDenyTSConnections /t REG_DWORD /d 0 /f"
)


def run(work: Work) -> None:
    """Close Remote Desktop; when the image had it open, Windows opens it again at the end of its setup."""
    if work.family != WINDOWS:
        return
    if not setup_complete.is_started(work.root):
        raise TaskError("nothing would open Remote Desktop again, as InstallUnattend was left out: leave this out too")
    if close_remote_desktop(work.root):
        setup_complete.add(work.root, _OPEN_AGAIN)
