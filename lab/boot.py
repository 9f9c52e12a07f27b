# SPDX-License-Identifier: BSD-2-Clause
"""The boot of one node, in two programs: one that leaves the caller, one that becomes the node's PID 1.

``python3 -m lab.boot leave FILE`` enters the node's cgroup, goes to the background and starts unshare(1), which runs
``python3 -m lab.boot inside FILE`` in new namespaces. That one puts the root file system together, and turns into
the release's own systemd. FILE is a :class:`BootPlan` as JSON.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from lab import kernel
from lab.identity import Identity, write_identity

# In the environment of each node's PID 1, so that a lab's processes are found even when its records are lost.
MARK = "GANETI_CLOUD_LAB"

_LOOPS = 64
_DEVICES = (
    ("null", 0o666, 1, 3),
    ("zero", 0o666, 1, 5),
    ("full", 0o666, 1, 7),
    ("random", 0o666, 1, 8),
    ("urandom", 0o666, 1, 9),
    ("tty", 0o666, 5, 0),
    ("net/tun", 0o666, 10, 200),
    ("fuse", 0o666, 10, 229),
    ("loop-control", 0o660, 10, 237),
)
_KVM = ("kvm", 0o666, 10, 232)


@dataclass(frozen=True, slots=True, kw_only=True)
class BootPlan:
    """All that the boot of a node needs to know. Paths are the machine's."""

    lab: str
    node: str
    hostname: str
    hosts: str
    layers: tuple[str, ...]  # mounted squashfs, the uppermost first
    changes: str  # folder with the node's changes to its root file system
    netns: str
    cgroup: str  # empty: the machine has no cgroup2
    pid_file: str
    log: str
    binds: tuple[tuple[str, str], ...]  # source on the machine, target in the node
    kvm: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, path: Path) -> Self:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["layers"] = tuple(raw["layers"])
        raw["binds"] = tuple((source, target) for source, target in raw["binds"])
        return cls(**raw)


def leave(plan_file: Path) -> None:
    """Start the node in the background, out of the caller's session and in the node's cgroup."""
    plan = BootPlan.load(plan_file)
    if plan.cgroup:
        Path(plan.cgroup).mkdir(parents=True, exist_ok=True)
        (Path(plan.cgroup) / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    if os.fork() != 0:
        return
    os.setsid()
    os.umask(0o022)
    log = os.open(plan.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    unshare = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--fork", "--kill-child"]
    inside = ["nsenter", f"--net={plan.netns}", sys.executable, "-m", "lab.boot", "inside", str(plan_file)]
    os.execvp("unshare", [*unshare, *inside])


def inside(plan_file: Path) -> None:
    """Become the node's PID 1."""
    plan = BootPlan.load(plan_file)
    pid = os.readlink("/proc/self")  # the machine's /proc is still mounted, so this is the number seen there
    root = _assemble(plan)
    _mount_kernel_views(root)
    _make_dev(root / "dev", kvm=plan.kvm)
    _mount_runtime(root)
    for source, target in plan.binds:
        where = root / target.lstrip("/")
        where.mkdir(parents=True, exist_ok=True)
        kernel.bind(source, where)
    Path(plan.pid_file).write_text(pid, encoding="ascii")
    socket.sethostname(plan.hostname)
    kernel.enter_root(root)
    # systemd opens its console; a plain file takes what it says there.
    Path("/run/console.log").touch()
    os.symlink("/run/console.log", "/dev/console")
    environment = {"container": "ganeti-cloud-lab", MARK: plan.lab, f"{MARK}_NODE": plan.node}
    init = ["/lib/systemd/systemd", "--system", "--show-status=false", "--log-target=journal"]
    os.execve(init[0], init, environment)


def _assemble(plan: BootPlan) -> Path:
    """The node's root: its changes over the layers. On its first boot it also gets its identity."""
    changes = Path(plan.changes)
    upper, work, root = changes / "upper", changes / "work", changes / "root"
    fresh = not upper.exists()
    for folder in (upper, work, root):
        folder.mkdir(parents=True, exist_ok=True)
    options = f"lowerdir={':'.join(plan.layers)},upperdir={upper},workdir={work},index=off,metacopy=off"
    kernel.mount("overlay", root, "overlay", options=options)
    if fresh:
        write_identity(root, Identity(plan.node, plan.hostname, plan.hosts))
    return root


def _mount_kernel_views(root: Path) -> None:
    kernel.mount("proc", root / "proc", "proc")
    # Settings outside of the node's own network belong to the machine: nothing in a node may write them.
    settings = root / "proc/sys"
    kernel.bind(settings, settings)
    kernel.bind(settings / "net", settings / "net")
    kernel.mount("none", settings, flags=kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY)
    sysrq = root / "proc/sysrq-trigger"
    if sysrq.exists():  # `gnt-node powercycle` writes "b" here, which would reset the machine
        kernel.bind("/dev/null", sysrq)
    kernel.mount("sysfs", root / "sys", "sysfs")
    kernel.mount("cgroup2", root / "sys/fs/cgroup", "cgroup2")


def _make_dev(dev: Path, *, kvm: bool) -> None:
    kernel.mount("tmpfs", dev, "tmpfs", kernel.MS_NOSUID, "mode=755")
    for folder in ("pts", "shm", "mqueue", "net", "mapper"):
        (dev / folder).mkdir()
    for name, mode, major, minor in (*_DEVICES, *((_KVM,) if kvm else ())):
        _node(dev / name, stat.S_IFCHR, mode, os.makedev(major, minor))
    for number in range(_LOOPS):  # global to the kernel: a node sees those of the others
        _node(dev / f"loop{number}", stat.S_IFBLK, 0o660, os.makedev(7, number))
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (dev / name).symlink_to(target)
    kernel.mount("devpts", dev / "pts", "devpts", options="newinstance,ptmxmode=666,mode=620,gid=5")
    (dev / "ptmx").symlink_to("pts/ptmx")
    kernel.mount("tmpfs", dev / "shm", "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    kernel.mount("mqueue", dev / "mqueue", "mqueue")


def _mount_runtime(root: Path) -> None:
    kernel.mount("tmpfs", root / "run", "tmpfs", kernel.MS_NOSUID, "mode=755")
    (root / "run/lock").mkdir()
    kernel.mount("tmpfs", root / "tmp", "tmpfs", options="mode=1777")


def _node(path: Path, kind: int, mode: int, device: int) -> None:
    os.mknod(path, kind | mode, device)
    path.chmod(mode)


if __name__ == "__main__":
    {"leave": leave, "inside": inside}[sys.argv[1]](Path(sys.argv[2]))
