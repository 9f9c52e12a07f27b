# SPDX-License-Identifier: BSD-2-Clause
"""What a deployment tells, for a person who looks on: a bar for the copy on a terminal, lines elsewhere, on stderr."""

from __future__ import annotations

import sys

import click

from ganeti_cloud import messages
from ganeti_cloud.progress import bar
from snf_image.telling import Told, sentence


class Progress:
    """Shows each message; *quiet* shows nothing."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._bar = False

    @property
    def pause_s(self) -> float:
        """How often a message on the copy is of use."""
        return 0.2 if self._terminal else 3.0

    def show(self, told: Told) -> None:
        """Show *told*."""
        if self._quiet:
            return
        if told.type == messages.IMAGE_COPY and self._terminal:
            percent = int(told.fields["progress"])
            click.echo("\r" + bar("copying", percent), nl=False, err=True)
            self._bar = True
            return
        self._line(sentence(told))

    def console(self, text: str) -> None:
        """Show the line *text* of the helper machine's console."""
        if not self._quiet:
            self._line(f"console: {text}")

    def _line(self, text: str) -> None:
        if self._bar:
            click.echo(err=True)
            self._bar = False
        click.echo(text, err=True)
