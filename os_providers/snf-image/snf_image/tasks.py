# SPDX-License-Identifier: BSD-2-Clause
"""Which tasks of the helper a property of the image can leave out."""

from __future__ import annotations

from collections.abc import Mapping

from snf_image_helper.properties import truth

ALL = "EXCLUDE_ALL_TASKS"
MOUNTED = "EXCLUDE_MOUNTED_TASKS"
RESIZING = "EXCLUDE_FILESYSTEMRESIZE_TASKS"
ONE = "EXCLUDE_TASK_"

_RESIZE_TASKS = ("FilesystemResizeUnmounted", "FilesystemResizeMounted", "FilesystemResizeAfterUmount")
# Those between MountImage and UmountImage that an image may do without.
_INNER_TASKS = (
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
)
_MOUNTED_TASKS = ("MountImage", "InstallUnattend", *_INNER_TASKS, "InitializeDatasource", "UmountImage")
EXCLUDABLE = ("FixPartitionTable", *_RESIZE_TASKS, *(task for task in _INNER_TASKS if task not in _RESIZE_TASKS))


def excluded(properties: Mapping[str, str]) -> tuple[str, ...]:
    """The tasks that *properties* leave out. Raises ValueError for a task that cannot be, and for no yes or no."""
    names = {task.upper(): task for task in EXCLUDABLE}
    found: list[str] = []
    for key in sorted(properties):
        if key.startswith(ONE):
            task = names.get(key.removeprefix(ONE))
            if task is None:
                raise ValueError(f"{key}: no task is left out by that name, only {', '.join(EXCLUDABLE)}")
            found += [task] if truth(properties, key) else []
    if truth(properties, MOUNTED):
        found += _MOUNTED_TASKS
    if truth(properties, RESIZING):
        found += _RESIZE_TASKS
    return tuple(dict.fromkeys(found))


def nothing_to_do(properties: Mapping[str, str]) -> bool:
    """Whether *properties* leave out every task. Raises ValueError for no yes or no."""
    return truth(properties, ALL)
