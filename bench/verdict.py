# SPDX-License-Identifier: BSD-2-Clause
"""From samples to a verdict: medians, ratios, goals, and the lines that tell them. Nothing here touches a machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ganeti_cloud.errors import CloudError

# Seconds of each sample, by the name of who was measured.
Samples = Mapping[str, Sequence[float]]


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.1f}ms"


def rate(seconds: float) -> str:
    """Of something that takes so many seconds, how much is done in one."""
    return f"{1 / seconds:.0f}/s"


def microseconds(seconds: float) -> str:
    return f"{seconds * 1e6:.1f}us"


def mebibytes(number: float) -> str:
    """Of samples that are no times."""
    return f"{number:.1f}MiB"


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two entries of the samples that are compared. Without *at_most* the ratio is shown and judged by nobody."""

    label: str
    ours: str
    peer: str
    at_most: float | None = None
    show: Callable[[float], str] = milliseconds


@dataclass(frozen=True, slots=True)
class Outcome:
    """A contrast with its medians, in seconds."""

    contrast: Contrast
    ours_s: float
    peer_s: float

    @property
    def ratio(self) -> float:
        return self.ours_s / self.peer_s

    @property
    def ok(self) -> bool:
        """Whether the goal is reached. Judged by the ratio itself, not by its rounded text."""
        return self.contrast.at_most is None or self.ratio <= self.contrast.at_most

    @property
    def ours(self) -> str:
        return self.contrast.show(self.ours_s)

    @property
    def peer(self) -> str:
        return self.contrast.show(self.peer_s)

    @property
    def numbers(self) -> str:
        """``ours=… peer=… ratio=…``, and ``goal=…`` where there is one."""
        goal = "" if self.contrast.at_most is None else f" goal=<={self.contrast.at_most:.2f}"
        return f"ours={self.ours} peer={self.peer} ratio={self.ratio:.3f}{goal}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """All outcomes of one comparison. The first is the one that stands for it in its last line."""

    name: str
    outcomes: Sequence[Outcome]

    @property
    def ok(self) -> bool:
        return all(outcome.ok for outcome in self.outcomes)

    def lines(self) -> list[str]:
        """A line for each outcome, then the one line that programs read, which judges all of them."""
        details = [
            f"  {outcome.contrast.label}: {outcome.numbers}"
            + ("" if outcome.contrast.at_most is None else f" {word(ok=outcome.ok)}")
            for outcome in self.outcomes
        ]
        return [*details, f"{self.name} {self.outcomes[0].numbers} {word(ok=self.ok)}"]


def judge(name: str, contrasts: Sequence[Contrast], samples: Samples) -> Verdict:
    """Compare the medians of *samples* as *contrasts* say. Raises CloudError when someone was never measured."""
    medians = {who: statistics.median(values) for who, values in samples.items() if values}
    missing = sorted({who for contrast in contrasts for who in (contrast.ours, contrast.peer)} - medians.keys())
    if missing:
        raise CloudError(f"{name}: no sample of {', '.join(missing)}")
    return Verdict(name, [Outcome(each, medians[each.ours], medians[each.peer]) for each in contrasts])


def table(verdicts: Mapping[str, Verdict | None]) -> list[str]:
    """One row for each comparison; None is one that could not be measured."""
    rows = [("comparison", "ours", "peer", "ratio", "goal", "")]
    for name, verdict in verdicts.items():
        if verdict is None:
            rows.append((name, "-", "-", "-", "-", "failed"))
            continue
        first = verdict.outcomes[0]
        goal = "-" if first.contrast.at_most is None else f"<={first.contrast.at_most:.2f}"
        numbers = (first.ours, first.peer, f"{first.ratio:.3f}")
        rows.append((name, *numbers, goal, word(ok=verdict.ok)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{row[0]:<{widths[0]}}  "
        + "  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:5], widths[1:5], strict=True))
        + (f"  {row[5]}" if row[5] else "")
        for row in rows
    ]


def word(*, ok: bool) -> str:
    return "ok" if ok else "short"
