# SPDX-License-Identifier: BSD-2-Clause
"""Which instance of this node runs on a volume, out of what Ganeti's KVM code keeps in /var/run.

This is about processes that run here and now. Whose disk a volume is, and where its instance belongs, Ganeti's
configuration says.
"""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from archipelago.mapping.kernel import arguments_of, entries
from ganeti_cloud.errors import StorageError

RUN_GANETI = "/var/run/ganeti"
PROVIDER = "archipelago"


class Running(NamedTuple):
    """A QEMU of this node and its disk that is the volume: the instance, the *number* of the disk, and how Ganeti calls
    it in QEMU (*device*). *link* is what QEMU was told to open; *discard* and *aio* are QEMU's words for how."""

    instance: str
    number: int
    pid: int
    device: str
    access: str
    link: str
    discard: str
    aio: str
    monitor: str
    agent: str | None


def find(volume: str, folder: str = RUN_GANETI, proc: str = "/proc") -> Running | None:
    """The instance that runs on *volume* on this node; None when none does. Raises StorageError when Ganeti's notes
    on an instance cannot be read."""
    kvm = f"{folder}/kvm-hypervisor"
    for name in entries(f"{kvm}/conf"):
        instance = name.removesuffix(".runtime")
        if instance == name:
            continue
        pid = _pid(kvm, instance, proc)
        found = None if pid is None else _disk(f"{kvm}/conf/{name}", volume)
        if pid is not None and found is not None:
            index, disk, link, hypervisor = found
            has_agent = bool(hypervisor.get("use_guest_agent"))
            return Running(
                instance=instance,
                number=index,
                pid=pid,
                device=disk.get("hvinfo", {}).get("id", ""),
                access=disk.get("params", {}).get("access", "kernelspace"),
                link=link or "",
                discard="unmap" if hypervisor.get("disk_discard") == "unmap" else "ignore",
                aio="native" if hypervisor.get("disk_aio") == "native" else "threads",
                monitor=f"{kvm}/ctrl/{instance}.qmp",
                agent=f"{kvm}/ctrl/{instance}.qga" if has_agent else None,
            )
    return None


def opened_devices(pid: int, proc: str = "/proc") -> set[str]:
    """The block devices that the process *pid* has open; none when it has gone."""
    folder = f"{proc}/{pid}/fd"
    found = set()
    for number in entries(folder):
        try:
            target = os.readlink(f"{folder}/{number}")
        except OSError:
            continue
        if target.startswith("/dev/"):
            found.add(target)
    return found


def _pid(kvm: str, instance: str, proc: str) -> int | None:
    """The process of *instance*, as Ganeti knows it: by its file, and by the name in its arguments."""
    try:
        with open(f"{kvm}/pid/{instance}", encoding="ascii") as stream:
            pid = int(stream.read())
    except (OSError, ValueError):
        return None
    return pid if instance in arguments_of(str(pid), proc) else None


def _disk(path: str, volume: str) -> tuple[int, dict[str, Any], str | None, dict[str, Any]] | None:
    """The disk that is *volume* in the runtime file at *path*: index, disk, link, parameters of the hypervisor.

    The file is JSON: arguments, NICs, parameters, and for each disk the object, its link and its URI.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            _, _, hypervisor, disks = json.load(stream)
        for index, (disk, link, _) in enumerate(disks):
            if disk.get("logical_id") == [PROVIDER, volume]:
                return index, disk, link, hypervisor
    except FileNotFoundError:
        return None  # stopped at this moment
    except (OSError, ValueError, TypeError, AttributeError) as err:
        raise StorageError(
            f"{path} cannot be understood: {err}",
            hint="this version of Ganeti keeps its notes on running instances in another way; report it",
        ) from err
    return None
