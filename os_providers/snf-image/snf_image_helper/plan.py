# SPDX-License-Identifier: BSD-2-Clause
"""The tasks in their order, which is the original's, and which of them a deployment leaves out."""

from __future__ import annotations

from collections.abc import Callable

from snf_image_helper.properties import truth
from snf_image_helper.records import NamedTuple
from snf_image_helper.task import FAMILIES, LINUX, WINDOWS, TaskError, Work

# The others grow before or after they are mounted.
_GROWN_MOUNTED = ("xfs", "btrfs")

_EXCLUDE_MOUNTED = "EXCLUDE_MOUNTED_TASKS"
_EXCLUDE_RESIZE = "EXCLUDE_FILESYSTEMRESIZE_TASKS"


class Step(NamedTuple):
    """A task: its *name* for people, and the *module* of :mod:`snf_image_helper.tasks` that does it.

    *families* are those whose guests have it. *excludable* ones can be left out by name. *mounted* ones need the
    guest's tree, and *resize* ones let file systems grow: each group can be left out as a whole. *idle* tells that
    there is nothing to do.
    """

    name: str
    module: str
    families: tuple[str, ...] = FAMILIES
    excludable: bool = False
    mounted: bool = False
    resize: bool = False
    idle: Callable[[Work], bool] = lambda work: False


_LINUX = (LINUX,)
_WINDOWS = (WINDOWS,)

STEPS = (
    Step("FixPartitionTable", "fix_partition_table", excludable=True),
    Step("FilesystemResizeUnmounted", "filesystem_resize_unmounted", excludable=True, resize=True),
    Step("MountImage", "mount_image", mounted=True),
    Step("InstallUnattend", "install_unattend", _WINDOWS, excludable=True, mounted=True),
    Step(
        "FilesystemResizeMounted",
        "filesystem_resize_mounted",
        _LINUX,
        excludable=True,
        mounted=True,
        resize=True,
        idle=lambda work: work.filesystem not in _GROWN_MOUNTED,
    ),
    Step("AddSwap", "add_swap", _LINUX, excludable=True, mounted=True, idle=lambda work: "SWAP" not in work.properties),
    Step("AssignHostname", "assign_hostname", excludable=True, mounted=True),
    Step("ChangeMachineId", "change_machine_id", _LINUX, excludable=True, mounted=True),
    Step("ChangePassword", "change_password", excludable=True, mounted=True),
    Step("ConfigureNetwork", "configure_network", excludable=True, mounted=True),
    Step("DeleteSSHKeys", "delete_ssh_keys", _LINUX, excludable=True, mounted=True),
    Step(
        "DisableRemoteDesktopConnections",
        "disable_remote_desktop_connections",
        _WINDOWS,
        excludable=True,
        mounted=True,
    ),
    Step("SELinuxAutorelabel", "selinux_autorelabel", _LINUX, excludable=True, mounted=True),
    Step(
        "EnforcePersonality",
        "enforce_personality",
        excludable=True,
        mounted=True,
        idle=lambda work: not work.job.personality,
    ),
    Step(
        "RunCustomTask",
        "run_custom_task",
        excludable=True,
        mounted=True,
        idle=lambda work: not work.job.custom_task,
    ),
    Step(
        "InitializeDatasource",
        "initialize_datasource",
        _LINUX,
        mounted=True,
        idle=lambda work: not work.cloud_init,
    ),
    Step("UmountImage", "umount_image", mounted=True),
    Step(
        "FilesystemResizeAfterUmount",
        "filesystem_resize_after_umount",
        _WINDOWS,
        excludable=True,
        resize=True,
    ),
)


def steps(work: Work) -> list[Step]:
    """Those that this deployment has, when the family is known. Raises TaskError for properties that make no sense."""
    excluded = {name.lower() for name in work.job.excluded}
    groups = {key: _truth(work, key) for key in (_EXCLUDE_MOUNTED, _EXCLUDE_RESIZE)}
    names = {step.name.lower() for step in STEPS if step.excludable}
    for name in sorted(excluded - names):
        work.warn(f"{name} is no task that can be left out")
    return [
        step
        for step in STEPS
        if work.family in step.families
        and not (step.excludable and step.name.lower() in excluded)
        and not (step.mounted and groups[_EXCLUDE_MOUNTED])
        and not (step.resize and groups[_EXCLUDE_RESIZE])
    ]


def _truth(work: Work, key: str) -> bool:
    try:
        return truth(work.properties, key)
    except ValueError as error:
        raise TaskError(str(error)) from error
