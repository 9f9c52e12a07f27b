# SPDX-License-Identifier: BSD-2-Clause
"""Where the lab keeps things on the machine it runs on, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CACHE = Path("/var/cache/ganeti-cloud-lab")  # root file systems, guests, images: safe to delete
RUN = Path("/run/ganeti-cloud-lab")  # state of running labs, and their tmpfs
DISK = Path("/var/lib/ganeti-cloud-lab")  # what must be on a real disk: O_DIRECT needs it on kernels before 6.6
TREE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Places:
    """The paths of one lab."""

    name: str

    @property
    def run(self) -> Path:
        """State of this lab; gone after ``down``."""
        return RUN / self.name

    @property
    def lock(self) -> Path:
        return RUN / f"{self.name}.lock"

    @property
    def record(self) -> Path:
        """What the lab was asked to be, as JSON."""
        return self.run / "lab.json"

    @property
    def memory(self) -> Path:
        """The tmpfs that holds every node's changes to its root file system."""
        return self.run / "memory"

    @property
    def disk(self) -> Path:
        return DISK / self.name

    @property
    def shared(self) -> Path:
        """``/srv/shared`` of every node."""
        return self.disk / "shared"

    @property
    def ceph_data(self) -> Path:
        """``/var/lib/lab-ceph`` of the store."""
        return self.disk / "ceph"

    def layer(self, which: str) -> Path:
        """Where the squashfs *which* is mounted."""
        return self.memory / "layers" / which

    def node(self, node: str) -> Path:
        return self.memory / node

    def boot_log(self, node: str) -> Path:
        return self.run / f"{node}.boot.log"
