# SPDX-License-Identifier: BSD-2-Clause
"""The command line of kvm-ifup: its help, and mistakes in it. What commands do is seen in the tier with networks."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import kvm_ifup.cli
from ganeti_cloud import config
from kvm_ifup import settings
from tests.unit.test_man_pages import commands

COMMANDS = dict(commands(kvm_ifup.cli.cli, "kvm-ifup"))
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kvm-ifup", *arguments])
        status = kvm_ifup.cli.main()
        said = capsys.readouterr()
        return status, said.out, said.err

    return called


@pytest.mark.parametrize("path", COMMANDS)
def test_help_has_examples_and_names_every_option(run: Run, path: str) -> None:
    status, out, err = run(*path.split()[1:], "--help")
    options = [name for each in COMMANDS[path].params for name in each.opts if isinstance(each, click.Option)]
    assert (status, err) == (0, "")
    assert [name for name in options if name not in out] == []
    assert f"\n  Examples:\n    {path}" in out


def test_without_a_command_there_is_help_and_no_success(run: Run) -> None:
    status, out, err = run()
    assert "Examples:" in out + err
    # click before 8.2 takes it for a question.
    assert (status, bool(err)) in {(2, True), (0, False)}


@pytest.mark.parametrize("arguments", [["nothing"], ["show", "--nothing"], ["down"], ["refresh"]], ids=" ".join)
def test_a_mistake_is_two_lines(run: Run, arguments: list[str]) -> None:
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "hint"]


def test_the_configuration_is_shown_as_it_holds(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "kvm-ifup.toml"
    path.write_text('[filter]\nlink_local = "any"\n', encoding="utf-8")
    status, out, _ = run("check-config", "--config", str(path))
    assert (status, "filter.link_local = any" in out.splitlines()) == (0, True)


def test_a_configuration_that_is_wrong_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "kvm-ifup.toml"
    path.write_text('[filter]\nlink_local = "some"\nother = 1\n', encoding="utf-8")
    status, out, err = run("check-config", "--config", str(path))
    assert (status, out, "link_local" in err, "other" in err) == (1, "", True, True)


def test_the_sample_is_that_of_the_settings(run: Run) -> None:
    assert run("check-config", "--sample") == (0, config.sample(settings.OPTIONS), "")
