# SPDX-License-Identifier: BSD-2-Clause
"""Looking into the kernel's tables under /sys and /proc, and loading what is a module."""

from __future__ import annotations

import os
from collections.abc import Iterator

from archipelago.attached import Evidence, content_of
from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import BASE_ENV, run

SYS = "/sys"


def entries(folder: str) -> list[str]:
    """The names in *folder*, in order; none when there is no such folder."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def observed(*paths: str) -> Evidence:
    """What each of *paths* says now, to be compared with later. One that cannot be read says nothing."""
    return [(path, content_of(path) or "") for path in paths]


def module_loaded(module: str, sign: str) -> bool:
    """Whether the kernel has *module*, of which the path *sign* is the proof; loads it if need be."""
    if os.path.exists(sign):
        return True
    try:
        run(["modprobe", "--quiet", "--", module], timeout_s=10)
    except CommandError:
        return False
    return os.path.exists(sign)


def arguments_of(pid: str, proc: str = "/proc") -> list[str]:
    """The command line of the process *pid*; empty when there is none."""
    try:
        with open(f"{proc}/{pid}/cmdline", encoding="utf-8", errors="replace") as stream:
            return stream.read().split("\0")
    except OSError:
        return []


def users_of(device: str, proc: str = "/proc") -> list[str]:
    """The processes that have *device* open."""
    return [pid for pid in entries(proc) if pid.isdigit() and device in _open_files(f"{proc}/{pid}/fd")]


def _open_files(folder: str) -> Iterator[str]:
    for number in entries(folder):
        try:
            yield os.readlink(f"{folder}/{number}")  # and not stat(), which can wait for a file system
        except OSError:
            continue  # closed since


def program(name: str) -> str | None:
    """Where :func:`~ganeti_cloud.process.run` finds the program *name*; None when it is not installed."""
    for folder in BASE_ENV["PATH"].split(":"):
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    return None
