# SPDX-License-Identifier: BSD-2-Clause
"""Progress of long work: a bar on a terminal, a line for each tenth elsewhere. It goes to stderr."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

import click

from ganeti_cloud.progress import bar


class Progress:
    """Shows phases one after the other; *quiet* shows nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._shown: tuple[str, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None and self._terminal:
            click.echo(err=True)

    def show(self, phase: str, percent: float) -> None:
        """Say that *phase* is *percent* done."""
        step = 1 if self._terminal else 10
        reached = (phase, int(percent) // step * step)
        if self._quiet or reached == self._shown:
            return
        changed = self._shown is not None and self._shown[0] != phase
        self._shown = reached
        if self._terminal:
            lead = "\n" if changed else "\r"
            click.echo(lead + bar(*reached), nl=False, err=True)
        else:
            click.echo(f"{phase} {reached[1]} %", err=True)
