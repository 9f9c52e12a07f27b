# SPDX-License-Identifier: BSD-2-Clause
"""Where servers meet the load: a node and its guests' links, the server on one processor and the load on another."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run
from lab.rooms import Program, cable, room

SERVER_CPU, LOAD_CPU = "0", "1"
LINK, GUESTS_END = "tap0", "guests"
NETWORK = IPv4Network("10.77.0.0/16")
GATEWAY = NETWORK[1]

_MEASURE_S = 60.0
_HERE = Path(__file__).parent
_SOURCES: dict[str, list[str]] = {"load": [], "floor": ["-lnetfilter_queue"]}
# A server with so little processor time in so long has settled; and how long it may take to.
_IDLE_S, _LOOK_S, _SETTLING_S = 0.02, 0.5, 30.0


def mac(number: int) -> str:
    """Of client *number*, as ``load.c`` makes them."""
    return "52:54:10:" + number.to_bytes(3).hex(":")


def address(number: int) -> IPv4Address:
    """What client *number* is to get."""
    return NETWORK[512 + number]


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the load saw."""

    seconds: float
    done: int
    lost: int
    p50_s: float
    p99_s: float
    cpu_s: float
    server_cpu_s: float

    @property
    def seconds_each(self) -> float:
        """Of an exchange, as long as exchanges follow one another."""
        return self.seconds / self.done


class Arena:
    """A node whose guests are all behind one link, or behind *taps* taps."""

    def __init__(self, stack: ExitStack, folder: Path, taps: int) -> None:
        self.folder, self.taps = folder, taps
        self.node = stack.enter_context(room("node", folder))
        # Taps are opened by the load, and so in the network of the node.
        self._guests = self.node if taps else stack.enter_context(room("guests", folder))
        if taps:
            names = [f"tap{number}" for number in range(taps)]
            self.node.sysctl("ipv6.conf.default.disable_ipv6=1")
            self.node.ip(*(f"tuntap add dev {name} mode tap" for name in names))
            self.node.ip(*(f"link set {name} up" for name in names))
        else:
            cable(self.node, LINK, self._guests, GUESTS_END, "52:54:00:00:00:01")
            self._guests.ip(f"link set {GUESTS_END} up")
            self.node.ip(f"link set {LINK} up", f"address add {GATEWAY}/{NETWORK.prefixlen} dev {LINK}")

    def serve(self, argv: Sequence[str], *, environment: Sequence[str] = ()) -> Program:
        """Start the server *argv* on its processor."""
        return self.node.start(["taskset", "-c", SERVER_CPU, *argv], environment=environment)

    def load(self, server: Program, clients: int, *words: str) -> Load:
        """Let the load loose on *server* once that has settled. Raises CloudError when nobody was served."""
        where = ["-t", "tap"] if self.taps else ["-i", GUESTS_END]
        argv = ["taskset", "-c", LOAD_CPU, str(self.folder / "load"), *where, "-n", str(clients), "-g", *words]
        with subprocess.Popen(
            self._guests.argv(argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            # Opening a tap gives it a carrier, which the kernel tells to who listens: not part of what is measured.
            settle(server)
            before = cpu_s(server.pid)
            told = _told(process)
        used = cpu_s(server.pid) - before
        if not told["done"] or told["refused"]:
            raise CloudError(f"{server.shown}: {told}: nothing to measure: {server.said[-500:]}")
        if used <= 0:
            raise CloudError(f"{server.shown}: somebody else has answered: it used no processor")
        return Load(
            told["seconds"],
            told["done"],
            told["lost"],
            told["p50_us"] / 1e6,
            told["p99_us"] / 1e6,
            told["cpu_s"],
            used,
        )

    def answers(self) -> bool:
        """Whether the first client is served."""
        where = ["-t", "tap"] if self.taps else ["-i", GUESTS_END]
        argv = [str(self.folder / "load"), *where, "-n", "1", "-d", "0.1", "-T", "100"]
        return bool(json.loads(self._guests.run(argv))["done"])


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Let it go, and take what it says at its end."""
    try:
        said, _ = process.communicate("go\n", timeout=_MEASURE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise CloudError(f"the load did not end within {_MEASURE_S:g} s") from None
    told = json.loads(said)
    assert isinstance(told, dict)
    return told


@contextmanager
def arena(folder: Path, *, taps: int = 0) -> Iterator[Arena]:
    """One for the length of the block, with the programs that were built into *folder*."""
    with ExitStack() as stack:
        yield Arena(stack, folder, taps)


def build(folder: Path) -> None:
    """Compile the load and the floor into *folder*."""
    for name, libraries in _SOURCES.items():
        source = str(_HERE / f"{name}.c")
        argv = ["gcc", "-O2", "-o", str(folder / name), source, *libraries]
        run(argv, timeout_s=60, hint="make setup installs the compiler and libnetfilter_queue")


def cpu_s(pid: int) -> float:
    """The processor time that all threads of *pid* have used."""
    ran = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            ran += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        except OSError:
            pass  # a thread that has just ended
    return ran / 1e9


def rss_mib(pid: int) -> float:
    """How much memory *pid* has."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise CloudError(f"process {pid} has no memory")


def settle(server: Program) -> None:
    """Wait until *server* has nothing to do. Raises CloudError when it does not come to rest, or has ended."""
    end = time.monotonic() + _SETTLING_S
    while time.monotonic() < end:
        if not server.running:
            raise CloudError(f"{server.shown} ended: {server.said[-500:]}")
        before = cpu_s(server.pid)
        time.sleep(_LOOK_S)
        if cpu_s(server.pid) - before < _IDLE_S:
            return
    raise CloudError(f"{server.shown} does not come to rest")
