# SPDX-License-Identifier: BSD-2-Clause
"""What a comparison is. ``attach.py`` is the shortest example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import machine
from bench.site import Site, one_at_a_time, site
from bench.verdict import Contrast, Samples
from lab.spec import Release
from lab.timeline import Say, Timeline

Versions = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One name that can be given to ``bench/run``."""

    name: str
    about: str
    measure: Callable[[Site], Samples]
    # The first stands for the whole comparison in its last line.
    contrasts: Sequence[Contrast]
    # Of Debian, for the node: what the peers are.
    packages: tuple[str, ...] = ()

    def collect(self, release: Release, say: Say) -> tuple[Versions, Samples]:
        """Measure in a lab of *release*; what was measured, and the samples."""
        with site(release, say, self.packages) as where:
            return machine.versions(where), self.measure(where)


@dataclass(frozen=True, slots=True)
class LocalComparison:
    """One that needs no lab: it measures this tree with the programs of this machine, whatever its release."""

    name: str
    about: str
    measure: Callable[[Timeline], Samples]
    contrasts: Sequence[Contrast]
    packages: tuple[str, ...]

    def collect(self, _release: Release, say: Say) -> tuple[Versions, Samples]:
        """Measure; what was measured, and the samples."""
        with one_at_a_time():
            return machine.versions_here(self.packages), self.measure(Timeline(say))


AnyComparison = Comparison | LocalComparison
