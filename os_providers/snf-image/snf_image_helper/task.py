# SPDX-License-Identifier: BSD-2-Clause
"""What a task is, and what it works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from snf_image_helper.job import Job
from snf_image_helper.records import TYPE_CHECKING, Protocol
from snf_image_helper.root import Root

if TYPE_CHECKING:
    from snf_image_helper.filesystems import Device
    from snf_image_helper.lvm import Volume
    from snf_image_helper.partitions import Table

LINUX = "linux"
WINDOWS = "windows"
FREEBSD = "freebsd"
OPENBSD = "openbsd"
NETBSD = "netbsd"
FAMILIES = (LINUX, WINDOWS, FREEBSD, OPENBSD, NETBSD)


class TaskError(Exception):
    """The task cannot be done; the text tells the administrator why, and what to do about it if that is known."""


class Run(Protocol):
    """The door to other programs: see :func:`snf_image_helper.programs.run`."""

    def __call__(
        self, argv: Sequence[str], *, stdin: bytes = b"", allowed: Sequence[int] = (0,), timeout_s: float = 60.0
    ) -> str: ...


class Work:
    """The state of one deployment, handed from task to task.

    *disk* is the device of the instance's first disk, *disks* those of all. *family* is one of :data:`FAMILIES` once
    it is known, *root_device* and *filesystem* (in blkid's words) belong to the root partition. *root* is the guest's
    tree between MountImage and UmountImage, and only then. *cloud_init* says that cloud-init in the guest is to do what
    it can: tasks add to *meta_data* and *cloud_config*, which InitializeDatasource's seed is written from at the end.

    *table* is that of the first disk, if it has one, *devices* what was found on all disks, *volumes* the logical
    volumes among it, of which *volume* is the root if it is one. *subvolume* is the option by which the root is mounted
    when that is not a btrfs's default. *mounts* are the places where something of the guest is mounted, in their order.
    """

    def __init__(self, job: Job, disks: Sequence[str], run: Run, warn: Callable[[str], None]) -> None:
        self.job = job
        self.disks = tuple(disks)
        self.run = run
        self.warn = warn
        self.family = job.os_family
        self.root_partition = job.root_partition
        self.root_device = ""
        self.filesystem = ""
        self.cloud_init = False
        self.meta_data: dict[str, object] = {}
        self.cloud_config: dict[str, object] = {}
        self.swap_device = ""
        self.table: Table | None = None
        self.devices: tuple[Device, ...] = ()
        self.volumes: tuple[Volume, ...] = ()
        self.volume: Volume | None = None
        self.subvolume = ""
        self.mounts: list[str] = []
        self._root: Root | None = None

    @property
    def disk(self) -> str:
        """The device of the first disk."""
        return self.disks[0]

    @property
    def root(self) -> Root:
        """The guest's tree. Raises TaskError when it is not mounted."""
        if self._root is None:
            raise TaskError("the guest's file systems are not mounted")
        return self._root

    def mounted(self, root: Root | None) -> None:
        """Note that the guest's tree is now at *root*, or nowhere."""
        self._root = root

    @property
    def properties(self) -> Mapping[str, str]:
        """Of the image and the instance."""
        return self.job.properties

    @property
    def users(self) -> tuple[str, ...]:
        """Whose password and keys are set: those that were named, or the family's own."""
        return self.job.users or (("Administrator",) if self.family == WINDOWS else ("root",))
