# SPDX-License-Identifier: BSD-2-Clause
"""Which tasks of the helper a property of the image can leave out."""

from __future__ import annotations

from collections.abc import Mapping

from snf_image_helper.properties import truth

ALL = "EXCLUDE_ALL_TASKS"
# The helper itself leaves these groups out, as it knows which tasks they are of.
MOUNTED = "EXCLUDE_MOUNTED_TASKS"
RESIZING = "EXCLUDE_FILESYSTEMRESIZE_TASKS"
ONE = "EXCLUDE_TASK_"

EXCLUDABLE = (
    "FixPartitionTable",
    "FilesystemResizeUnmounted",
    "InstallUnattend",
    "FilesystemResizeMounted",
    "AddSwap",
    "AssignHostname",
    "ChangeMachineId",
    "ChangePassword",
    "ConfigureNetwork",
    "DeleteSSHKeys",
    "DisableRemoteDesktopConnections",
    "SELinuxAutorelabel",
    "EnforcePersonality",
    "RunCustomTask",
    "FilesystemResizeAfterUmount",
)


def excluded(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The tasks that *properties* leave out by name. Raises ValueError for one that cannot be, and for no yes or no."""
    names = {task.upper(): task for task in EXCLUDABLE}
    found: list[str] = []
    for key in sorted(properties):
        if key.startswith(ONE):
            task = names.get(key.removeprefix(ONE))
            if task is None:
                raise ValueError(f"{key}: no task is left out by that name, only {', '.join(EXCLUDABLE)}")
            found += [task] if truth(properties, key) else []
    return tuple(found)


def nothing_to_do(properties: Mapping[str, str]) -> bool:
    """Whether *properties* leave out every task. Raises ValueError for no yes or no."""
    return truth(properties, ALL)
