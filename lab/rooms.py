# SPDX-License-Identifier: BSD-2-Clause
"""Small machines made of namespaces: processes, mounts, host name and network of their own, on this machine's files.

A room ends with the process that made it, whatever ends that one: all of it hangs on one PID 1 that the kernel kills.
Nothing gets a name on the machine itself.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from ganeti_cloud.process import run

# A limit, and not a wait: on a machine with other work a second of CPU may take ten.
STEP_S = 60.0

_T = TypeVar("_T")

_CLONE_NEWNET = 0x40000000  # setns(2)
_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000

# Of /etc a copy, so that programs may write there; a user for the daemon is in it. /sys shows the room's own network,
# and cannot be written: systemd-networkd takes that for a container, where nobody waits for udev.
_SET_UP = """
set -e
mount -t tmpfs -o mode=755 tmpfs /run
cp -a /etc /run/etc && mount --bind /run/etc /etc
mount -t tmpfs -o mode=755 tmpfs /var/lib
mount -t sysfs -o ro sysfs /sys
grep -q ^nfdhcpd: /etc/passwd || echo 'nfdhcpd:x:64010:64010::/nonexistent:/usr/sbin/nologin' >>/etc/passwd
grep -q ^nfdhcpd: /etc/group || echo 'nfdhcpd:x:64010:' >>/etc/group
mkdir -p /var/lib/nfdhcpd /var/lib/dhcp /var/lib/dhcpcd /run/nfdhcpd /run/client /etc/ganeti-cloud
chown nfdhcpd:nfdhcpd /run/nfdhcpd
hostname "$1"
ip link set lo up
echo ready
exec sleep infinity
"""


@dataclass(frozen=True)
class Ended:
    """How a program ended, and all that it wrote."""

    status: int
    said: str


class Program:
    """A program that runs in a room beside us."""

    def __init__(self, process: subprocess.Popen[bytes], shown: str, output: Path) -> None:
        self._process, self.shown, self._output = process, shown, output

    @property
    def pid(self) -> int:
        """Its number on this machine, not the one in the room."""
        return _child_of(self._process.pid)

    @property
    def said(self) -> str:
        """All that it has written to stdout and stderr."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Give it a signal."""
        pid = self.pid
        if number == signal.SIGCONT:
            # nsenter(1) stops when what it has started is stopped.
            self._process.send_signal(number)
        os.kill(pid, number)

    def ended(self, timeout_s: float = STEP_S) -> Ended:
        """Wait for its end. Raises AssertionError when it goes on for longer than *timeout_s*."""
        try:
            return Ended(self._process.wait(timeout_s), self.said)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.shown} did not end in {timeout_s:g} s: {self.said}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = STEP_S) -> Ended:
        """End it with a signal."""
        if self.running:
            self.send(number)
        return self.ended(timeout_s)


class Room:
    """One such machine; see :func:`room`."""

    def __init__(self, name: str, pid: int, folder: Path) -> None:
        self.name, self.pid, self._folder = name, pid, folder
        self._programs: list[Program] = []

    @property
    def root(self) -> Path:
        """Its root as a path of the machine; not for paths with absolute links in them."""
        return Path(f"/proc/{self.pid}/root")

    def argv(self, command: Sequence[str]) -> list[str]:
        """The command line that runs *command* in the room."""
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--uts", "--pid", "--", *command]

    def run(self, argv: Sequence[str], *, timeout_s: float = STEP_S, stdin: str = "") -> str:
        """Run *argv* in the room to its end and return its stdout. Raises CommandError."""
        return run(self.argv(argv), timeout_s=timeout_s, stdin=stdin, shown=f"{self.name}: {' '.join(argv)}")

    def ip(self, *commands: str) -> None:
        """Commands of ip(8) in a row."""
        self.run(["ip", "-batch", "-"], stdin="".join(f"{line}\n" for line in commands))

    def sysctl(self, *settings: str) -> None:
        """Each ``name=value``, below ``net``."""
        for setting in settings:
            name, _, value = setting.partition("=")
            self.run(["sh", "-c", f"echo {value} >/proc/sys/net/{name.replace('.', '/')}"])

    def start(self, argv: Sequence[str], *, environment: Sequence[str] = (), cwd: Path | None = None) -> Program:
        """Have *argv* run beside us."""
        output = self._folder / f"{self.name}-{len(self._programs)}.log"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                self.argv(["env", *environment, *argv]),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=cwd,
            )
        program = Program(process, f"{self.name}: {' '.join(argv)}", output)
        self._programs.append(program)
        return program

    def close(self) -> None:
        """Kill all that is in the room."""
        os.kill(self.pid, signal.SIGKILL)
        for program in self._programs:
            program.ended()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file into the room by replacing what is there, as the writers of bindings do."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        new = target.with_name(f".{target.name}.new")
        new.write_text(text, encoding="utf-8")
        new.chmod(mode)
        new.replace(target)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Within the block this thread is in the network of the room: for sockets and taps that we open."""
        with open("/proc/thread-self/ns/net", "rb") as ours, open(f"/proc/{self.pid}/ns/net", "rb") as theirs:
            _enter(theirs)
            try:
                yield
            finally:
                _enter(ours)

    def open_tap(self, name: str) -> int:
        """The tap *name* of the room, made when it is not there, as QEMU opens it. It is brought up by nobody."""
        with self.network():
            tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(tap, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        return tap


@contextmanager
def room(name: str, folder: Path) -> Iterator[Room]:
    """A room for the length of the block. Output of what runs in it is kept in *folder*."""
    flags = ["--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv = ["setpriv", "--pdeathsig", "KILL", "unshare", *flags, "sh", "-c", _SET_UP, "sh", name]
    with ExitStack() as stack:
        errors = folder / f"{name}.err"
        with errors.open("wb") as stream:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stream)
        stack.callback(process.wait, STEP_S)
        stack.callback(process.kill)
        assert process.stdout is not None
        stack.enter_context(process.stdout)
        ready, _, _ = select.select([process.stdout], [], [], STEP_S)
        if not ready or process.stdout.readline() != b"ready\n":
            raise AssertionError(f"the room {name} did not get ready: {errors.read_text(errors='replace')}")
        made = Room(name, _child_of(process.pid), folder)
        stack.callback(made.close)
        yield made


def cable(first: Room, first_end: str, second: Room, second_end: str, mac: str) -> None:
    """A veth pair between two rooms; *mac* is that of the second's end. Both ends are still down."""
    peer = ["peer", "name", second_end, "address", mac, "netns", str(second.pid)]
    run(["ip", "link", "add", first_end, "netns", str(first.pid), "type", "veth", *peer], timeout_s=STEP_S)


def wait_for(what: str, look: Callable[[], _T], timeout_s: float = STEP_S, *, every_s: float = 0.02) -> _T:
    """What *look* returns as soon as that is true. Raises AssertionError when *what* does not come in time."""
    end = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < end, f"{what}: not within {timeout_s:g} s"
        time.sleep(every_s)
    return found


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    [child] = wait_for(f"the child of process {pid}", lambda: children.read_text(encoding="ascii").split())
    return int(child)


def _enter(namespace: IO[bytes]) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace.fileno(), _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
