# SPDX-License-Identifier: BSD-2-Clause
"""bench/run: what it is told, what there is, and what it says when it cannot."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench import cli, clone, site
from bench.catalogue import COMPARISONS
from bench.inside import turns


def ask(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["bench/run", *arguments])
    return cli.main()


def test_the_list_names_each_comparison(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(monkeypatch, "--list") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == [comparison.name for comparison in COMPARISONS]
    assert {"clone", "attach"} <= set(names)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        pytest.param(
            ["nothing"],
            1,
            "error: there is no comparison 'nothing'\nhint: there are {names}; bench/run --list tells about them\n",
            id="unknown name",
        ),
        pytest.param([], 2, "error: give either one NAME or --all\nhint: see bench/run --help\n", id="no name"),
        pytest.param(
            ["clone", "--release", "sid"],
            2,
            "error: Invalid value for '--release': 'sid' is not one of 'bookworm', 'trixie'.\n"
            "hint: see bench/run --help\n",
            id="unknown release",
        ),
        pytest.param(
            ["clone", "--all"], 2, "error: give either one NAME or --all\nhint: see bench/run --help\n", id="both"
        ),
    ],
)
def test_what_cannot_be_asked(
    arguments: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ask(monkeypatch, *arguments) == status
    names = ", ".join(comparison.name for comparison in COMPARISONS)
    assert capsys.readouterr().err == said.replace("{names}", names)


def test_without_root_nothing_begins(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ask(monkeypatch, "attach") == 1
    assert capsys.readouterr().err == "error: measuring needs root: it makes a lab\nhint: sudo bench/run attach\n"


def test_without_packages_nothing_begins(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(site, "DEBS", tmp_path)
    assert ask(monkeypatch, "attach") == 1
    assert capsys.readouterr().err == f"error: there are no packages in {tmp_path} to measure\nhint: make deb\n"


def test_comparisons_have_different_names_and_a_goal_first() -> None:
    assert len({comparison.name for comparison in COMPARISONS}) == len(COMPARISONS)
    assert all(comparison.contrasts[0].at_most is not None for comparison in COMPARISONS)


def test_images_of_all_sizes_hold_the_same_data(tmp_path: Path) -> None:
    contents = []
    for size in (1 << 20, 3 << 20):
        clone.write_sparse(tmp_path / "image", size, chunk=4096, chunks=8)
        whole = (tmp_path / "image").read_bytes()
        assert len(whole) == size
        pieces = [whole[at : at + 4096] for at in range(0, size, 4096)]
        contents.append([piece for piece in pieces if any(piece)])
    assert (contents[0], len(contents[0])) == (contents[1], 8)


def test_every_contrast_of_clone_compares_what_is_measured_in_turn() -> None:
    measured = {contestant.name for size in (1, 10, 100) for contestant in clone._clones(size, "image@snap")}
    judged = [contrast for contrast in clone.COMPARISON.contrasts if contrast.at_most is not None]
    assert len(judged) == 7
    assert {contrast.ours for contrast in judged} | {contrast.peer for contrast in judged} == measured
    assert {who for _, who in turns(sorted(measured), 1, 0)} == measured
