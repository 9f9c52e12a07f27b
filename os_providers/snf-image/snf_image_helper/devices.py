# SPDX-License-Identifier: BSD-2-Clause
"""The disks and the port that the node gave this machine, by the names it gave them: letters are the kernel's."""

from __future__ import annotations

import os
import time

from snf_image_helper.job import DISK_SERIAL, JOB_SERIAL
from snf_image_helper.lines import PORT
from snf_image_helper.task import TaskError

SYS = "/sys"
_WAIT_S = 10.0
_PAUSE_S = 0.005


def port(sys: str = SYS, wait_s: float = _WAIT_S) -> str:
    """The device of the port; it comes some time after its driver. Raises TaskError when it does not come."""
    until = time.monotonic() + wait_s
    while True:
        for name in _names(f"{sys}/class/virtio-ports"):
            if _text(f"{sys}/class/virtio-ports/{name}/name") == PORT:
                return f"/dev/{name}"
        if time.monotonic() > until:
            raise TaskError(f"there is no port {PORT}")
        time.sleep(_PAUSE_S)


def job_disk(serials: dict[str, str]) -> str:
    """The disk with the job on it. Raises TaskError when there is none."""
    if JOB_SERIAL not in serials:
        raise TaskError("the helper machine was given no job")
    return serials[JOB_SERIAL]


def instance_disks(serials: dict[str, str], count: int) -> list[str]:
    """The disks of the instance in their order. Raises TaskError when one is missing, or none is there."""
    if count < 1:
        raise TaskError("the job is about no disk")
    for number in range(count):
        if f"{DISK_SERIAL}{number}" not in serials:
            raise TaskError(f"the helper machine was not given disk {number} of {count}")
    return [serials[f"{DISK_SERIAL}{number}"] for number in range(count)]


def by_serial(sys: str = SYS) -> dict[str, str]:
    """The devices of all disks that have a serial number."""
    found = {_text(f"{sys}/block/{name}/serial"): f"/dev/{name}" for name in _names(f"{sys}/block")}
    found.pop("", None)
    return found


def sectors(device: str, sys: str = SYS) -> int:
    """The size of *device* in units of 512 bytes, as the kernel has it. Raises OSError."""
    number = os.stat(device).st_rdev
    return int(_text(f"{sys}/dev/block/{os.major(number)}:{os.minor(number)}/size") or 0)


def partitions(disk: str, sys: str = SYS) -> dict[int, str]:
    """The partitions of *disk* that the kernel knows, by their numbers."""
    folder = f"{sys}/block/{os.path.basename(disk)}"
    numbers = {name: _text(f"{folder}/{name}/partition") for name in _names(folder)}
    return dict(sorted((int(number), f"/dev/{name}") for name, number in numbers.items() if number))


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip()
    except OSError:
        return ""
