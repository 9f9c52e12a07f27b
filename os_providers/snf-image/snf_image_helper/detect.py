# SPDX-License-Identifier: BSD-2-Clause
"""What system the disk holds, and where its root is: by the types of partitions first, then by looking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from snf_image_helper import devices, filesystems, lvm, mounting, partitions
from snf_image_helper.filesystems import EXT, LVM, Device
from snf_image_helper.partitions import Table
from snf_image_helper.records import NamedTuple
from snf_image_helper.root import Root
from snf_image_helper.task import FREEBSD, LINUX, NETBSD, OPENBSD, WINDOWS, TaskError, Work

_BSD = {
    "a5": FREEBSD,
    "a6": OPENBSD,
    "a9": NETBSD,
    "516e7cb6-6ecf-11d6-8ff8-00022d09712b": FREEBSD,
    "516e7cba-6ecf-11d6-8ff8-00022d09712b": FREEBSD,
    "824cc7a0-36a8-11e3-890a-952519ad3f61": OPENBSD,
    "49f48d5a-b10e-11dc-b99b-0019d1879648": NETBSD,
}
# The Discoverable Partitions Specification: roots for x86-64 and x86.
_ROOTS = frozenset({"4f68bce3-e8cd-4db1-96e7-fbcaf984b709", "44479540-f297-41b2-9af7-d131d5f0458a"})
_LINUX_FILESYSTEMS = frozenset((*EXT, "xfs", "btrfs"))
_NTFS = "ntfs"
# Where installers put the root when it is not the default subvolume.
_SUBVOLUMES = ("", "subvol=@", "subvol=@rootfs", "subvol=root")

_REMEDY = "if there is one, name it by the properties OSFAMILY and ROOT_PARTITION"


class Candidate(NamedTuple):
    """A place where a root may be: *partition* is 0 when it is the whole disk or spread over several."""

    device: Device
    partition: int
    volume: lvm.Volume | None = None

    @property
    def shown(self) -> str:
        """What people call it."""
        if self.volume is not None:
            return f"volume {self.volume.group}/{self.volume.name}"
        return f"partition {self.partition}" if self.partition else "the disk"


def detect(work: Work) -> None:
    """Note in *work* what there is on the disks, the family, and the root. Raises TaskError."""
    _read_disks(work)
    bsd = _bsd(work.table, work.root_partition) if work.family in ("", FREEBSD, OPENBSD, NETBSD) else None
    if bsd is not None:
        work.family, work.root_partition = work.family or bsd[0], bsd[1]
        work.root_device = devices.partitions(work.disk).get(bsd[1], "")
        return
    if work.family in (FREEBSD, OPENBSD, NETBSD):
        raise TaskError(f"the disk has no partition of {work.family}")
    found = candidates(work.table, devices.partitions(work.disk), work.devices, work.disk, work.volumes)
    found = [each for each in found if work.root_partition in (0, each.partition) and _suits(work.family, each)]
    if work.family == "" or len(found) != 1 or found[0].device.filesystem == "btrfs":
        _look(work, found)
    else:
        _note(work, found[0], work.family, "")


def _read_disks(work: Work) -> None:
    """Note the table of the first disk, and what is on all."""
    parts = [path for disk in work.disks for path in devices.partitions(disk).values()]
    work.devices = filesystems.probe(work.run, [*work.disks, *parts])
    if any(each.path == work.disk and each.table for each in work.devices):
        work.table = partitions.parse(work.run(["sfdisk", "--json", work.disk]))
    members = [each.path for each in work.devices if each.filesystem == LVM]
    if members:
        work.volumes = lvm.activate(work.run, members)
        work.devices += filesystems.probe(work.run, [volume.path for volume in work.volumes])


def _bsd(table: Table | None, number: int) -> tuple[str, int] | None:
    """The family and the partition, as the type of a partition tells them."""
    for each in table.partitions if table is not None else ():
        if each.kind in _BSD and number in (0, each.number):
            return _BSD[each.kind], each.number
    return None


def candidates(
    table: Table | None,
    parts: dict[int, str],
    found: Sequence[Device],
    disk: str,
    volumes: Sequence[lvm.Volume],
) -> list[Candidate]:
    """Where to look, in this order: a partition of the type "root", the others by their numbers, logical volumes.

    *parts* are the partitions of *disk*, and *found* is what is on it. A disk without a table is looked at itself.
    """
    by_path = {each.path: each for each in found}
    numbers = {path: number for number, path in parts.items()}
    kinds = {each.number: each.kind for each in table.partitions} if table is not None else {}
    if table is None:
        places = [Candidate(by_path[disk], 0)] if disk in by_path else []
    else:
        places = [Candidate(by_path[path], number) for number, path in parts.items() if path in by_path]
        places.sort(key=lambda each: (kinds.get(each.partition) not in _ROOTS, each.partition))
    for volume in volumes:
        if volume.path in by_path:
            number = numbers.get(volume.on[0], 0) if len(volume.on) == 1 else 0
            places.append(Candidate(by_path[volume.path], number, volume))
    return [each for each in places if each.device.filesystem in _LINUX_FILESYSTEMS | {_NTFS}]


def _suits(family: str, candidate: Candidate) -> bool:
    return family == "" or (family == WINDOWS) == (candidate.device.filesystem == _NTFS)


def _look(work: Work, found: Sequence[Candidate]) -> None:
    """Take the first of *found* that holds a system. Raises TaskError with what was seen when none does."""
    seen = []
    for candidate in found:
        try:
            for subvolume in _SUBVOLUMES if candidate.device.filesystem == "btrfs" else ("",):
                if family := _looked_at(work, candidate, subvolume):
                    return _note(work, candidate, family, subvolume)
        except TaskError as error:
            seen.append(f"{candidate.shown}: {error}")
        else:
            seen.append(f"{candidate.shown} ({candidate.device.filesystem}): no system on it")
    raise TaskError("; ".join((*(seen or _useless(work)), f"no root was found: {_REMEDY}")))


def _useless(work: Work) -> Iterator[str]:
    """Why there is nothing to look at."""
    kinds = sorted({each.filesystem for each in work.devices if each.filesystem})
    yield (
        f"the disk has nothing but {', '.join(kinds)}"
        if kinds
        else "the disk has no file system, or its partition table is damaged"
    )


def _looked_at(work: Work, candidate: Candidate, subvolume: str) -> str:
    """The family of the system there, or nothing. Raises TaskError when it cannot be read."""
    try:
        mounting.mount(work.run, candidate.device, mounting.ROOT, subvolume=subvolume, writing=False)
    except TaskError:
        if subvolume:
            return ""
        raise
    try:
        return _family(Root(mounting.ROOT), candidate.device.filesystem)
    except OSError as error:
        raise TaskError(f"{candidate.device.filesystem} cannot be read: {error.strerror}") from error
    finally:
        mounting.unmount(mounting.ROOT)
        if candidate.device.filesystem == _NTFS:
            mounting.wait_for_servers()


def _family(root: Root, filesystem: str) -> str:
    if filesystem == _NTFS:
        return WINDOWS if root.is_folder("/windows/system32") else ""
    # Images for containers' sake have no table of file systems, but all name their release.
    names = ("/etc/fstab", "/etc/os-release", "/usr/lib/os-release")
    return LINUX if any(root.exists(name) for name in names) else ""


def _note(work: Work, candidate: Candidate, family: str, subvolume: str) -> None:
    work.family = family
    work.root_partition = candidate.partition
    work.root_device = candidate.device.path
    work.filesystem = candidate.device.filesystem
    work.volume = candidate.volume
    work.subvolume = subvolume
