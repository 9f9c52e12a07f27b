# SPDX-License-Identifier: BSD-2-Clause
"""Progress, letter by letter."""

from __future__ import annotations

import sys

import pytest

from archipelago.cli.progress import Progress

STEPS = [
    ("copying", 0.0),
    ("copying", 0.9),
    ("copying", 9.99),
    ("copying", 10.0),
    ("copying", 55.5),
    ("copying", 100.0),
    ("copying", 100.0),
    ("checking", 100.0),
]


def show_all(*, quiet: bool = False) -> None:
    with Progress(quiet=quiet) as progress:
        for phase, percent in STEPS:
            progress.show(phase, percent)


def test_elsewhere_it_is_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    show_all()
    assert capsys.readouterr() == ("", "copying 0 %\ncopying 10 %\ncopying 50 %\ncopying 100 %\nchecking 100 %\n")


def test_on_a_terminal_it_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    show_all()
    bars = [
        ("\r", "copying   ", 0, "  0"),
        ("\r", "copying   ", 3, "  9"),
        ("\r", "copying   ", 4, " 10"),
        ("\r", "copying   ", 22, " 55"),
        ("\r", "copying   ", 40, "100"),
        ("\n", "checking  ", 40, "100"),
    ]
    drawn = "".join(f"{lead}{phase} [{'#' * n}{' ' * (40 - n)}] {percent} %" for lead, phase, n, percent in bars)
    assert capsys.readouterr() == ("", drawn + "\n")


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_shows_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    show_all(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_nothing_shown_leaves_no_empty_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress():
        pass
    assert capsys.readouterr() == ("", "")
