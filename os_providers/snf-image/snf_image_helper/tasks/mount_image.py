# SPDX-License-Identifier: BSD-2-Clause
"""MountImage: the guest's root, and on it what the guest's own table says, as far as it lies on its disks."""

from __future__ import annotations

import os

from snf_image_helper import fstab, mounting
from snf_image_helper.fstab import Entry
from snf_image_helper.mounting import ROOT
from snf_image_helper.root import Root
from snf_image_helper.task import LINUX, WINDOWS, TaskError, Work


def run(work: Work) -> None:
    """Mount all of it; *work.root* can be used from now on. Raises TaskError with the device and the reason."""
    if work.family not in (LINUX, WINDOWS):
        raise TaskError(
            f"this machine cannot write the file systems of {work.family}:"
            " let cloud-init or the like adapt the guest, and set EXCLUDE_MOUNTED_TASKS=yes"
        )
    device = next(each for each in work.devices if each.path == work.root_device)
    mounting.mount(work.run, device, ROOT, subvolume=work.subvolume)
    work.mounts.append(ROOT)
    root = Root(ROOT)
    if work.family == LINUX:
        for entry in fstab.parse(_table(root)):
            if entry.point:
                _mount(work, root, entry)
    work.mounted(root)
    if work.family == LINUX:
        from snf_image_helper import cloud_init

        work.cloud_init = cloud_init.wanted(root, work.properties)


def _table(root: Root) -> str:
    try:
        return root.read_text(fstab.PATH)
    except FileNotFoundError:
        return ""


def _mount(work: Work, root: Root, entry: Entry) -> None:
    try:
        if "noauto" not in entry.options:
            _mount_entry(work, root, entry)
    except (TaskError, OSError) as error:
        reason = error if isinstance(error, TaskError) else error.strerror
        text = f"{entry.point} of the guest's {fstab.PATH}: {reason}"
        if not entry.optional:
            raise TaskError(text) from error
        work.warn(text)


def _mount_entry(work: Work, root: Root, entry: Entry) -> None:
    device = fstab.device(entry.source, work.devices, work.disks)
    if not root.is_folder(entry.point):
        # systemd.mount(5): so does the guest.
        root.make_folders(entry.point)
    fd = root.open_folder(entry.point)
    try:
        # The folder's place with all links followed, which nobody but us could change now.
        place = os.readlink(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    mounting.mount(work.run, device, place, subvolume=entry.subvolume)
    work.mounts.append(place)
