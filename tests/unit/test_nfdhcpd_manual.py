# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages of nfdhcpd say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ganeti_cloud import config
from nfdhcpd import settings
from nfdhcpd.cli import cli
from tests.unit import manual
from tests.unit.test_man_pages import _default, commands

ROOT = Path(__file__).parents[2]
COMMANDS = dict(commands(cli, "nfdhcpd"))


def heading(path: str) -> str:
    """That of the part of nfdhcpd(8) on the command *path*."""
    arguments = [each for each in COMMANDS[path].params if isinstance(each, click.Argument)]
    return " ".join([path, "[option...]", *(each.metavar or str(each.name).upper() for each in arguments)])


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_a_command_is_described_with_it(path: str) -> None:
    known = {name for parameter in COMMANDS[path].params for name in parameter.opts if name.startswith("-")}
    tags = manual.read("nfdhcpd.8")[heading(path)].tags
    assert {name for tag in tags for name in re.findall(r"(?<!\S)-{1,2}[a-z][a-z-]*", tag)} == known


def test_no_command_is_described_that_is_not_there() -> None:
    written = {each for each in manual.read("nfdhcpd.8") if each.startswith("nfdhcpd ")}
    assert written == {heading(path) for path in COMMANDS}


def test_every_key_is_described_with_its_default_and_no_other() -> None:
    written = [
        f"{heading} {tag}"
        for heading, section in manual.read("nfdhcpd.toml.5").items()
        if heading.startswith("[")
        for tag in section.tags
        if " = " in tag
    ]
    shown = config.sample(settings.OPTIONS)
    assert written == [f"[{each.section}] {each.key} = {_default(shown, each)}" for each in settings.OPTIONS]


@pytest.mark.parametrize("option", settings.OPTIONS, ids=lambda option: f"{option.section}.{option.key}")
def test_bounds_that_are_described_are_those_that_hold(option: config.Option) -> None:
    text = manual.read("nfdhcpd.toml.5")[f"[{option.section}]"].text
    entry = text.partition(f"\n{option.key} = ")[2].partition("\n")[2].partition(" = ")[0]
    found = re.search(r"\b(\d+) to (\d+)\.$", entry, re.MULTILINE)
    if found is None:
        return
    low, high = int(found[1]), int(found[2])
    assert [option.check(low), option.check(high)] == [low, high]
    for outside in (low - 1, high + 1):
        with pytest.raises(ValueError, match="from"):
            option.check(outside)


_SOURCES = (ROOT / "nfdhcpd", ROOT / "ganeti_cloud" / "daemon")
SENTENCES = dict(manual.errors(path for folder in _SOURCES for path in folder.rglob("*.py")))


@pytest.mark.parametrize("where", SENTENCES)
def test_every_error_has_an_entry_with_its_remedy(where: str) -> None:
    tags = [tag for section in manual.read("nfdhcpd.8").values() for tag in section.tags]
    assert [tag for tag in tags if re.fullmatch(SENTENCES[where], tag)] != [], SENTENCES[where]


def test_the_counters_are_described() -> None:
    source = (ROOT / "nfdhcpd" / "loop" / "daemon.py").read_text(encoding="utf-8")
    families = set(re.findall(r'Family\(\s*"(\w+)"', source))
    assert len(families) == 4
    assert set(re.findall(r"nfdhcpd_\w+", manual.read("nfdhcpd.8")["COUNTERS"].text)) == families
