# SPDX-License-Identifier: BSD-2-Clause
"""A guest's tree in a folder, and a deployment that works on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganeti_cloud import process
from snf_image_helper.job import NOTHING, Job, Nic
from snf_image_helper.root import Root
from snf_image_helper.task import LINUX, Work

PLAIN_JOB = NOTHING._replace(hostname="vm1.example.com", disks=1, os_family=LINUX, root_partition=1)


class Guest:
    """*folder* is the tree, *warnings* what was said of it so far, and *ran* the programs that were asked for.

    They are run, here and now, unless *runs* is false.
    """

    def __init__(self, folder: Path, *, runs: bool = True) -> None:
        self.folder = folder
        self.root = Root(str(folder))
        self.warnings: list[str] = []
        self.ran: list[tuple[list[str], bytes]] = []
        self._runs = runs

    def put(self, path: str, text: str = "") -> Path:
        """A file of the image."""
        real = self.folder / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(text, encoding="utf-8")
        return real

    def link(self, path: str, target: str) -> None:
        """A symbolic link of the image."""
        real = self.folder / path.lstrip("/")
        real.parent.mkdir(parents=True, exist_ok=True)
        real.symlink_to(target)

    def text(self, path: str) -> str:
        """What is in a file now."""
        return self.root.read_text(path)

    def belongs(self, path: str) -> tuple[int, int, int]:
        """Mode, owner and group."""
        status = self.root.status(path)
        assert status is not None
        return status.st_mode & 0o7777, status.st_uid, status.st_gid

    def work(self, job: Job = PLAIN_JOB, *, cloud_init: bool = False) -> Work:
        """A deployment with the tree mounted."""
        work = Work(job, ["/dev/null"], self._run, self.warnings.append)
        work.family = job.os_family
        work.cloud_init = cloud_init
        work.mounted(self.root)
        return work

    def _run(
        self, argv: Sequence[str], *, stdin: bytes = b"", allowed: Sequence[int] = (0,), timeout_s: float = 60.0
    ) -> str:
        """Like the helper's door to programs, with those of this machine."""
        self.ran.append((list(argv), stdin))
        return process.run(list(argv), stdin=stdin.decode(), timeout_s=timeout_s) if self._runs else ""


def nic(ipv4: str = "static", ipv6: str = "static", **changed: object) -> Nic:
    """An interface with all that its ways to addresses need."""
    plain = Nic(
        mac="aa:00:00:11:22:33",
        ipv4=ipv4,
        ipv6=ipv6,
        ip="192.0.2.7",
        subnet="192.0.2.0/24",
        gateway="192.0.2.1",
        ip6="2001:db8::7",
        subnet6="2001:db8::/64",
        gateway6="2001:db8::1",
        name_servers=("192.0.2.53", "2001:db8::53"),
        search_domains=("example.com", "example.net"),
        mtu=0,
    )
    return plain._replace(**changed)  # type: ignore[arg-type]  # by the names of its fields
