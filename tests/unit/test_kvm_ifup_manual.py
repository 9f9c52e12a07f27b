# SPDX-License-Identifier: BSD-2-Clause
"""The manual page kvm-ifup(8) says what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from kvm_ifup.cli import cli
from kvm_ifup.running import known, site
from tests.unit import manual
from tests.unit.kvm_ifup_node import PORT
from tests.unit.test_man_pages import commands

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "kvm-ifup" / "kvm_ifup"
COMMANDS = dict(commands(cli, "kvm-ifup"))
PAGE = "kvm-ifup.8"


def heading(path: str) -> str:
    """That of the part of the page on the command *path*."""
    arguments = [each for each in COMMANDS[path].params if isinstance(each, click.Argument)]
    words = (
        each.metavar or (str(each.name).upper() if each.required else f"[{each.name}]".upper()) for each in arguments
    )
    return " ".join([path, "[option...]", *words])


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_a_command_is_described_with_it(path: str) -> None:
    known = {name for parameter in COMMANDS[path].params for name in parameter.opts if name.startswith("-")}
    tags = manual.read(PAGE)[heading(path)].tags
    assert {name for tag in tags for name in re.findall(r"(?<!\S)-{1,2}[a-z][a-z-]*", tag)} == known


def test_no_command_is_described_that_is_not_there() -> None:
    written = {each for each in manual.read(PAGE) if each.startswith("kvm-ifup ")}
    assert written == {heading(path) for path in COMMANDS}


SENTENCES = dict(manual.errors(path for room in ("running", "cli") for path in (PACKAGE / room).glob("*.py")))


@pytest.mark.parametrize("where", SENTENCES)
def test_every_error_has_an_entry_with_its_remedy(where: str) -> None:
    tags = manual.read(PAGE)["ERRORS"].tags
    assert [tag for tag in tags if re.fullmatch(SENTENCES[where], tag)] != [], SENTENCES[where]


def test_the_environment_of_scripts_is_described() -> None:
    text = manual.read(PAGE)["SCRIPTS OF THE SITE"].text
    assert set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text)) - {"PTR", "AAAA"} == set(site.environment(PORT, "up"))
    assert {site.UP_FOLDER, site.DOWN_FOLDER} <= set(re.findall(r"/etc/ganeti/[a-z.-]+d\b", text))
    assert f"Each has {site._SCRIPT_S:g} seconds" in text


def test_the_files_are_where_it_says() -> None:
    assert f"{known.FOLDER}/TAP.json" in manual.read(PAGE)["FILES"].tags
