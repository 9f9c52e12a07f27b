# SPDX-License-Identifier: BSD-2-Clause
"""Where comparisons are measured: a lab of its own with our packages, and in its node the measuring loop."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType

from bench import inside
from bench.verdict import Samples
from ganeti_cloud.errors import RequestError
from ganeti_cloud.process import follow
from lab.lab import DEBS, Lab, down
from lab.layer import packages_in
from lab.node import Node
from lab.places import RUN
from lab.rootfs import locked
from lab.spec import LabSpec, Release
from lab.timeline import Say, Timeline

LAB = "bench"
SUBNET = "198.18.20.0/24"  # RFC 2544: for benchmarks
SHARED = "/srv/shared"

# What noded gives to the programs it runs, or near enough; both sides get the same.
ENV = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root"}

_MEASURE_S = 3600.0


_SCRIPTS = "/usr/share/ganeti/extstorage/archipelago"


def script(verb: str) -> str:
    """The provider's script *verb*, as it is installed in the node."""
    return f"{_SCRIPTS}/{verb}"


def volume_env(volume: str) -> dict[str, str]:
    """What Ganeti tells a script about *volume*, besides what only one verb is told."""
    return {
        "VOL_NAME": volume,
        "VOL_UUID": "0a1b2c3d-0000-4000-8000-000000000001",
        "EXTP_PROVIDER": "archipelago",
        "EXTP_ACCESS": "kernelspace",
    }


@dataclass(frozen=True, slots=True)
class Contestant:
    """Someone to be measured: the programs *steps*, run one after the other, are one sample.

    The programs *before* and *after* are not timed. ``{volume}`` in all of them and in *env* is a name that is new
    in each turn.
    """

    name: str
    steps: Sequence[Sequence[str]]
    env: Mapping[str, str] = field(default_factory=dict)
    after: Sequence[Sequence[str]] = ()
    before: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What the loop in the node is told."""

    contestants: Sequence[Contestant]
    rounds: int
    warm_up: int = 1

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "env": ENV}, indent=1) + "\n"


@dataclass(frozen=True, slots=True)
class Site:
    """A lab that is up, to measure in."""

    lab: Lab
    timeline: Timeline

    @property
    def node(self) -> Node:
        """The node that everything runs in."""
        return self.lab.node(1)

    def shared(self, name: str) -> tuple[Path, str]:
        """The path of the shared file *name* on this machine, and in the nodes."""
        return self.lab.places.shared / name, f"{SHARED}/{name}"

    def interleave(self, what: str, plan: Plan) -> Samples:
        """Run *plan* in the node; progress is told as *what*. The samples of warming up are left out."""
        script, script_inside = self.shared("inside.py")
        order, order_inside = self.shared("plan.json")
        shutil.copy(inside.__file__, script)
        order.write_text(plan.to_json(), encoding="utf-8")
        reader = Reader(plan, lambda number: self.timeline.note(f"{what}: {number} of {plan.rounds} rounds"))
        argv = ["/usr/bin/python3", "-I", script_inside, order_inside]
        with self.timeline.step(f"{what} measured"):
            follow(self.node.argv(argv), reader.feed, timeout_s=_MEASURE_S)
        for who, mib in sorted(reader.peaks_mib.items()):
            self.timeline.note(f"{what}: {who} used {mib} MiB of memory at most")
        return reader.samples


class Reader:
    """Collects what the loop prints, which comes in pieces that end anywhere."""

    def __init__(self, plan: Plan, on_round: Callable[[int], None]) -> None:
        self.samples: dict[str, list[float]] = {contestant.name: [] for contestant in plan.contestants}
        # Of the largest single program.
        self.peaks_mib: dict[str, int] = {}
        self._step = max(1, plan.rounds // 5)
        self._on_round = on_round
        self._told = 0
        self._rest = ""

    def feed(self, piece: str) -> None:
        """Take the next *piece* of the loop's stdout."""
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            sample = json.loads(line)
            done = sample["round"]  # rounds that are complete when one of this number is under way
            if done > self._told and done % self._step == 0:
                self._told = done
                self._on_round(done)
            if done >= 0:
                self.samples[sample["who"]].append(sample["seconds"])
                self.peaks_mib[sample["who"]] = max(sample["peak_mib"], self.peaks_mib.get(sample["who"], 0))


@contextmanager
def site(release: Release, say: Say, packages: tuple[str, ...] = ()) -> Iterator[Site]:
    """A lab of *release* with the packages in dist/ and Debian's *packages*; taken down at its end, whatever it is."""
    if not packages_in(DEBS, release):
        raise RequestError(f"there are no packages in {DEBS} to measure", hint="make deb")
    with one_at_a_time():
        down(LAB)  # of a run that was killed
        try:
            lab = Lab.up(LabSpec(name=LAB, release=release, subnet=SUBNET, nodes=1, extra_packages=packages), say=say)
            yield Site(lab, Timeline(say))
        finally:
            down(LAB)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait for other runs on this machine: the labs have one name, and two runs would measure each other."""
    with locked(RUN / f"{LAB}-run.lock"), _terminated_like_interrupted():
        yield


@contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """Within the block SIGTERM unwinds the stack as Ctrl-C does, so that the lab goes."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
