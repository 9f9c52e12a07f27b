# SPDX-License-Identifier: BSD-2-Clause
"""What a comparison is. ``attach.py`` is the shortest example."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.site import Site
from bench.verdict import Contrast, Samples


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
