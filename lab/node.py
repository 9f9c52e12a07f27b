# SPDX-License-Identifier: BSD-2-Clause
"""One node: a machine of its own as far as Ganeti can tell."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.errors import CloudError, CommandError
from ganeti_cloud.process import run
from lab.boot import MARK, BootPlan
from lab.network import Network
from lab.places import TREE, Places
from lab.processes import PROC, Init, init_of, inits, kill_init
from lab.spec import DOMAIN

_BOOT_S = 90.0
_ENVIRONMENT = (
    "HOME=/root",
    "LANG=C.UTF-8",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)
# All namespaces of the node's PID 1, its root and its working directory.
_ENTER = ("-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w")


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a lab, running or not."""

    name: str
    places: Places
    network: Network

    @property
    def hostname(self) -> str:
        return f"{self.name}.{DOMAIN}"

    @property
    def address(self) -> str:
        return self.network.subnet.host(self.name)

    @property
    def pid(self) -> int | None:
        """Number of the node's PID 1 on the machine; None when the node is down."""
        try:
            number = int(self._pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        init = init_of(number)
        return number if init is not None and (init.lab, init.node) == (self.places.name, self.name) else None

    @property
    def alive(self) -> bool:
        return self.pid is not None

    @property
    def root(self) -> Path:
        """The node's root as a path of the machine.

        Not for paths with absolute links in them, like ``/var/run``: those lead to the machine's own files.
        """
        return PROC / str(self._living()) / "root"

    def argv(self, command: Sequence[str], *, term: str = "dumb") -> list[str]:
        """The command line that runs *command* in the node, from the machine."""
        pid, cgroup = self._living(), self._cgroup / "lab"
        cgroup.mkdir(exist_ok=True)
        enter = ["nsenter", "-t", str(pid), *_ENTER, "--"]
        join = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
        return ["/bin/sh", "-c", join, str(cgroup), *enter, "env", "-i", f"TERM={term}", *_ENVIRONMENT, *command]

    def run(self, argv: Sequence[str], *, timeout_s: float, stdin: str = "") -> str:
        """Run *argv* in the node to its end and return its stdout.

        Raises CommandError, which tells the node, the command and the last line of its stderr.
        """
        return run(self.argv(argv), timeout_s=timeout_s, stdin=stdin, shown=f"{self.name}: {shlex.join(argv)}")

    def confirm(self, argv: Sequence[str], *, timeout_s: float) -> str:
        """Like :meth:`run`, on a terminal, with "y" for each question: some gnt-* commands ask on /dev/tty only."""
        script = ["script", "--quiet", "--return", "--command", shlex.join(argv), "/dev/null"]
        return self.run(script, timeout_s=timeout_s, stdin="y\n" * 8)

    def write(self, path: str, text: str, *, mode: str = "0644", owner: str = "root:root") -> None:
        """Put a file into the node. *owner* is told by names that the node knows."""
        user, _, group = owner.partition(":")
        install = ["install", "-D", "-m", mode, "-o", user, "-g", group or user, "/dev/stdin", path]
        self.run(install, timeout_s=20, stdin=text)

    def boot(self, layers: Sequence[Path], binds: Sequence[tuple[Path, str]], *, kvm: bool) -> bool:
        """Start the node and wait until its systemd has nothing left to start. False when it ran already."""
        if self.alive:
            return False
        self.network.plug(self.name)
        folder = self.places.node(self.name)
        folder.mkdir(parents=True, exist_ok=True)
        self._pid_file.unlink(missing_ok=True)
        plan = BootPlan(
            lab=self.places.name,
            node=self.name,
            hostname=self.hostname,
            hosts=self.network.subnet.hosts_file(),
            layers=tuple(str(layer) for layer in layers),
            changes=str(folder),
            netns=str(self.network.netns_file(self.name)),
            cgroup=str(self._cgroup),
            pid_file=str(self._pid_file),
            log=str(self.places.boot_log(self.name)),
            binds=tuple((str(source), target) for source, target in binds),
            kvm=kvm,
        )
        plan_file = folder / "boot.json"
        plan_file.write_text(plan.to_json(), encoding="utf-8")
        leave = ["/usr/bin/python3", "-m", "lab.boot", "leave", str(plan_file)]
        # Marked from the start, so that a boot that was interrupted half-way is found as well.
        mark = {MARK: self.places.name, f"{MARK}_NODE": self.name}
        run(leave, timeout_s=20, env={"PYTHONPATH": str(TREE), **mark})
        self._wait_until_up()
        return True

    def crash(self) -> None:
        """Cut the node's power: all its processes and its network are gone at once, its disk stays."""
        for init in self._inits():
            if not kill_init(init):
                raise CloudError(
                    f"{self.name}: some of its processes do not end",
                    hint=f"look for state D among the processes of {self._cgroup}",
                )
        self.network.unplug(self.name)
        remove_cgroup(self._cgroup)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within the block nothing of the node runs, as on a machine that hangs; after it all goes on where it was."""
        freezer = self._cgroup / "cgroup.freeze"
        freezer.write_text("1", encoding="ascii")
        try:
            yield
        finally:
            freezer.write_text("0", encoding="ascii")

    def _inits(self) -> list[Init]:
        return [init for init in inits(self.places.name) if init.node == self.name]

    def _wait_until_up(self) -> None:
        end = time.monotonic() + _BOOT_S
        while True:
            pid = self.pid
            if pid is not None and (PROC / str(pid) / "root/run/systemd/private").exists():
                break
            if time.monotonic() > end:
                raise CloudError(f"{self.name}: did not boot: {self._last_words()}")
            time.sleep(0.03)
        try:
            self.run(["systemctl", "is-system-running", "--wait"], timeout_s=_BOOT_S)
        except CommandError as err:
            if err.status != 1:  # 1: up, and some unit failed; who cares will meet it
                raise

    def failed_units(self) -> list[str]:
        """Units that systemd calls failed."""
        text = self.run(["systemctl", "list-units", "--failed", "--plain", "--no-legend"], timeout_s=20)
        return [line.split()[0] for line in text.splitlines() if line.strip()]

    def _last_words(self) -> str:
        try:
            lines = self.places.boot_log(self.name).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            lines = []
        return lines[-1] if lines else "it said nothing"

    def _living(self) -> int:
        pid = self.pid
        if pid is None:
            raise CloudError(f"{self.name} is down", hint=f"lab up --name {self.places.name} boots it again")
        return pid

    @property
    def _pid_file(self) -> Path:
        return self.places.node(self.name) / "pid"

    @property
    def _cgroup(self) -> Path:
        return cgroup_of(self.places.name) / self.name


def cgroup_of(lab: str) -> Path:
    """The cgroup that holds the lab's nodes."""
    for line in (PROC / "self/mounts").read_text(encoding="utf-8").splitlines():
        fields = line.split()
        if fields[2] == "cgroup2":
            return Path(fields[1]) / "ganeti-cloud-lab" / lab
    raise CloudError("no cgroup2 is mounted", hint="mount -t cgroup2 cgroup2 /sys/fs/cgroup")


def remove_cgroup(path: Path) -> None:
    """Remove the cgroup *path* and those below it. One that still has processes stays."""
    for where, _, _ in os.walk(path, topdown=False):
        for _attempt in range(50):
            try:
                os.rmdir(where)
                break
            except FileNotFoundError:
                break
            except OSError:  # EBUSY: the last process is on its way out
                time.sleep(0.02)
