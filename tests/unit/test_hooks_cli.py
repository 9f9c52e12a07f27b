# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator is told of the hooks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganeti_hooks import linked, paths, stamps
from ganeti_hooks.cli import cli
from ganeti_hooks.linked import DANGLING, FOREIGN, LINKED, MISSING

ADD = ("instance-add", "post")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node as the package leaves it."""
    root = tmp_path / "node"
    program = below(root, paths.PROGRAM)
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    for hook in paths.DUTIES:
        below(root, paths.place(hook)).symlink_to(paths.PROGRAM)
    monkeypatch.setattr(linked, "ROOT", root)
    monkeypatch.setattr(stamps, "FOLDER", tmp_path / "stamps")
    stamps.FOLDER.mkdir()
    return root


def below(root: Path, path: str) -> Path:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    return place


def of(root: Path, hook: tuple[str, str]) -> linked.Row:
    [row] = [row for row in linked.rows(root, stamps.FOLDER) if row.hook == "-".join(hook)]
    return row


def test_all_is_linked(root: Path) -> None:
    done = CliRunner().invoke(cli, ["status"], standalone_mode=False)
    assert (done.return_value, len(done.output.splitlines())) == (0, len(paths.DUTIES))
    assert {line.split(None, 1)[1] for line in done.output.splitlines()} == {"linked    never ran"}


def test_links_as_the_package_makes_them_are_relative(root: Path) -> None:
    """What debhelper makes of links within one folder below the root (Debian policy, 10.5)."""
    place = below(root, paths.place(ADD))
    place.unlink()
    place.symlink_to("../../../../usr/share/ganeti-cloud/hooks/hook")
    assert of(root, ADD).link == LINKED


def test_one_that_is_missing(root: Path) -> None:
    below(root, paths.place(ADD)).unlink()
    assert of(root, ADD).link == MISSING
    done = CliRunner().invoke(cli, ["status"], standalone_mode=False)
    assert done.return_value == 1
    assert "instance-add-post            missing   never ran\n" in done.output
    assert "is not there: reinstall the package ganeti-cloud-hooks\n" in done.output


def test_those_of_somebody_else(root: Path) -> None:
    place = below(root, paths.place(ADD))
    place.unlink()
    place.write_text("#!/bin/sh\n", encoding="utf-8")
    assert of(root, ADD).link == FOREIGN
    place.unlink()
    place.symlink_to("/bin/true")
    assert of(root, ADD).link == FOREIGN


@pytest.mark.parametrize("how", ["gone", "not executable"])
def test_links_to_nothing(root: Path, how: str) -> None:
    program = below(root, paths.PROGRAM)
    if how == "gone":
        program.unlink()
    else:
        program.chmod(0o644)
    assert {row.link for row in linked.rows(root, stamps.FOLDER)} == {DANGLING}


def test_when_a_hook_last_ran(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    stamps.touch(stamps.FOLDER, ADD)
    os.utime(stamps.FOLDER / "instance-add-post", (1_790_000_000, 1_790_000_000))
    done = CliRunner().invoke(cli, ["status", "--json"], standalone_mode=False)
    [row] = [row for row in json.loads(done.output) if row["last_run"] is not None]
    assert row == {"hook": "instance-add-post", "link": LINKED, "why": "", "last_run": 1_790_000_000.0}
    assert "instance-add-post            linked    last ran 2026-09-21 " in CliRunner().invoke(cli, ["status"]).output


def test_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "hooks.toml"
    path.write_text('[instances]\nprefixes = ["snf-"]\n', encoding="utf-8")
    done = CliRunner().invoke(cli, ["check-config", "--config", str(path)])
    assert done.output == "instances.prefixes = ['snf-']\n"


@pytest.mark.parametrize("value", ['"snf-"', '[""]', "[1]", "1"])
def test_settings_that_are_wrong(tmp_path: Path, value: str) -> None:
    path = tmp_path / "hooks.toml"
    path.write_text(f"[instances]\nprefixes = {value}\n", encoding="utf-8")
    done = CliRunner().invoke(cli, ["check-config", "--config", str(path)])
    assert "is not a list of texts, none of them empty" in str(done.exception)


def test_the_sample() -> None:
    assert CliRunner().invoke(cli, ["check-config", "--sample"]).output.endswith("#prefixes = []\n")
