# SPDX-License-Identifier: BSD-2-Clause
"""Mounting what strangers made. It is never trusted: no devices, no programs, no rights by set-user-id."""

from __future__ import annotations

import os
import time

from snf_image_helper import kernel, modules
from snf_image_helper.filesystems import EXT, Device
from snf_image_helper.task import Run, TaskError, Work

ROOT = "/run/guest"

# What they are called in the table of the guest or by blkid, and in the kernel.
_NTFS = "ntfs"
_BUSY_S = 20.0
_PAUSE_S = 0.02

# ntfs-3g(8): a journal is not replayed but refused.
_NTFS_OPTIONS = "ignore_case,windows_names,norecover,nosuid,nodev,noexec"
# A superblock can ask for a panic when an error is met: the machine would be gone without a word.
_WRITING = {"ext4": "errors=remount-ro", "vfat": "errors=remount-ro"}
# Looking writes nothing, not even what a journal holds.
_LOOKING = {"ext4": "noload,errors=continue", "xfs": "norecovery", "btrfs": "nologreplay"}

SUPPORTED = (*EXT, "xfs", "btrfs", "vfat", _NTFS)


def mount(run: Run, device: Device, target: str, *, subvolume: str = "", writing: bool = True) -> None:
    """Mount *device* at *target*, a path without links. Raises TaskError with the reason."""
    if device.filesystem not in SUPPORTED:
        raise TaskError(f"{device.path}: {device.filesystem or 'what is on it'} cannot be mounted here")
    kind = "ext4" if device.filesystem in EXT else device.filesystem
    try:
        modules.load_for(kind)
        if kind == _NTFS:
            _mount_ntfs(run, device.path, target, writing)
        else:
            given = ((_WRITING if writing else _LOOKING).get(kind, ""), subvolume if kind == "btrfs" else "")
            flags = kernel.UNTRUSTED | (0 if writing else kernel.RDONLY)
            kernel.mount(device.path, target, kind, flags, ",".join(filter(None, given)))
    except OSError as error:
        raise TaskError(f"{device.path}: {kind} cannot be mounted: {error.strerror}") from error
    if writing and os.statvfs(target).f_flag & os.ST_RDONLY:
        unmount(target)
        raise TaskError(
            f"{device.path}: {kind} was not left clean: shut the guest down in full before taking its image"
        )


def _mount_ntfs(run: Run, path: str, target: str, writing: bool) -> None:
    try:
        run(["lowntfs-3g", "-o", _NTFS_OPTIONS if writing else f"ro,{_NTFS_OPTIONS}", path, target])
    except TaskError as error:
        # Its last words are an advice about RAID.
        reason = "it is damaged, or Windows was not shut down in full"
        raise TaskError(f"{path}: ntfs cannot be mounted: {reason}") from error


def unmount(target: str) -> None:
    """Unmount *target*, which may be in use for a moment more. Raises TaskError."""
    until = time.monotonic() + _BUSY_S
    while True:
        try:
            return kernel.unmount(target)
        except OSError as error:
            if time.monotonic() > until:
                raise TaskError(f"{target}: cannot be unmounted: {error.strerror}") from error
        time.sleep(_PAUSE_S)


def check_written(target: str) -> None:
    """Have all be written that was changed at *target*. Raises TaskError when the file system has given up on the way.

    Unmounting tells nothing of it: a file system that finds itself damaged becomes read-only, and drops what it holds.
    """
    try:
        kernel.sync(target)
        given_up = os.statvfs(target).f_flag & os.ST_RDONLY
    except OSError as error:
        raise TaskError(f"not all of it could be written: {error.strerror}") from error
    if given_up:
        raise TaskError("not all of it could be written: a file system of the guest is damaged")


def unmount_all(work: Work) -> None:
    """Unmount the guest's tree, and wait until those programs have ended that served it. Raises TaskError."""
    work.mounted(None)
    while work.mounts:
        unmount(work.mounts[-1])
        work.mounts.pop()
    if any(each.filesystem == _NTFS for each in work.devices):
        wait_for_servers()


def wait_for_servers(limit_s: float = _BUSY_S) -> None:
    """Wait for what ntfs-3g left running: process 1 is the parent of all. Raises TaskError."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(_PAUSE_S)
        except ChildProcessError:
            return
    raise TaskError("a program that serves a file system of the guest does not end")
