# SPDX-License-Identifier: BSD-2-Clause
"""Loop devices are the kernel's, not a node's: they outlive the node that made them. Here is told whose is whose."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import run
from lab.processes import PROC, inits, mount_tables

_LOSETUP_S = 20.0


@dataclass(frozen=True, slots=True)
class Loop:
    """An attached loop device. ``inode`` is None when the file behind it cannot be asked any more."""

    device: str
    backing: str
    inode: int | None
    filesystem: str  # "major:minor", empty with no inode

    @property
    def orphaned(self) -> bool:
        """Whether what is behind it is gone for good.

        The storage provider makes a FUSE file system for each volume, whose root is a file. When a node dies, the
        mount is in no tree any more, so that the kernel calls the file "/", and nobody answers for it.
        """
        return self.backing == "/" and self.inode is None


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the loop devices of a lab can stand on."""

    filesystems: frozenset[str]  # that only this lab mounts
    files: frozenset[tuple[str, int | None]]  # on the machine's own disks

    def holds(self, loop: Loop) -> bool:
        return loop.filesystem in self.filesystems or (loop.filesystem, loop.inode) in self.files


def parse_losetup(text: str) -> list[Loop]:
    """The output of ``losetup --json`` with the columns that :func:`attached` asks for."""
    if not text.strip():  # it prints nothing at all when there is no loop device
        return []
    found = []
    for entry in json.loads(text)["loopdevices"]:
        number = entry.get("back-ino")
        found.append(
            Loop(
                device=entry["name"],
                backing=entry.get("back-file") or "",
                inode=None if number is None else int(number),
                filesystem=(entry.get("back-maj:min") or "").replace(" ", ""),
            )
        )
    return found


def attached() -> list[Loop]:
    """Every loop device of the machine."""
    columns = "NAME,BACK-INO,BACK-MAJ:MIN,BACK-FILE"
    return parse_losetup(run(["losetup", "--json", "--list", "-O", columns], timeout_s=_LOSETUP_S))


def mounted_filesystems(mountinfo: str) -> set[str]:
    """The device numbers in a mountinfo text."""
    return {line.split()[2] for line in mountinfo.splitlines() if line.count(" ") > 2}


def of_lab(lab: str, memory: Path, disk: Path) -> list[Loop]:
    """The loop devices of *lab*, without those of its layers, which go with their mounts.

    To be asked while its nodes still run: their mounts, which tell whose a device is, vanish with them.
    """
    found = attached()
    own = _node_filesystems(lab) - _machine_filesystems()
    if memory.is_mount():
        own.add(_device(memory.stat()))
    footprint = Footprint(frozenset(own), frozenset(_files(disk)))
    return [loop for loop in found if footprint.holds(loop)]


def orphans() -> list[Loop]:
    """The loop devices that a node left behind when it was killed by other means than ``lab crash``."""
    return [loop for loop in attached() if loop.orphaned]


def of_node(lab: str, node: str, others: Iterable[str]) -> list[Loop]:
    """The loop devices that stand on file systems of *node* alone, and not on those of the *others* of *lab*."""
    own = _node_filesystems(lab, {node}) - _machine_filesystems() - _node_filesystems(lab, set(others))
    return [loop for loop in attached() if loop.filesystem in own]


def _machine_filesystems() -> set[str]:
    return mounted_filesystems((PROC / "self/mountinfo").read_text(encoding="utf-8"))


def _node_filesystems(lab: str, nodes: set[str] | None = None) -> set[str]:
    found: set[str] = set()
    for init in inits(lab):
        if nodes is None or init.node in nodes:
            for table in mount_tables(init.pid):
                found |= mounted_filesystems(table)
    return found


def detach(loops: Iterable[Loop]) -> list[Loop]:
    """Detach *loops*; those that are gone already are no error. Returns what was detached."""
    done = []
    for loop in loops:
        try:
            run(["losetup", "-d", loop.device], timeout_s=_LOSETUP_S)
        except CommandError:
            if any(other.device == loop.device for other in attached()):
                raise
            continue
        done.append(loop)
    return done


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    for where, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(where, name))
            yield _device(status), status.st_ino


def _device(status: os.stat_result) -> str:
    return f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
