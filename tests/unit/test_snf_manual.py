# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages of snf-image say what the programs do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ganeti_cloud import config
from snf_image import parameters, properties, provider, settings, tasks
from snf_image.cli import cli
from tests.unit import manual
from tests.unit.test_house import SNF_IMAGE
from tests.unit.test_man_pages import ERRORS, WORDLESS, _default, _words

OS_PAGE = "ganeti-os-snf-image.7"
COMMANDS = {f"snf-image {name}": command for name, command in cli.commands.items()}


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_a_command_is_described_with_it(path: str) -> None:
    known = {name for parameter in COMMANDS[path].params for name in parameter.opts if name.startswith("-")}
    tags = manual.read("snf-image.8")[f"{path} [option...]"].tags
    assert {name for tag in tags for name in re.findall(r"(?<!\S)-{1,2}[a-z][a-z-]*", tag)} == known
    assert not any(isinstance(parameter, click.Argument) for parameter in COMMANDS[path].params)


def test_no_command_is_described_that_is_not_there() -> None:
    headings = {heading for heading in manual.read("snf-image.8") if heading.startswith("snf-image ")}
    assert headings == {f"{path} [option...]" for path in COMMANDS}


def test_every_key_is_described_with_its_default_and_no_other() -> None:
    written = [
        f"{heading} {tag}"
        for heading, section in manual.read("snf-image.toml.5").items()
        if heading.startswith("[")
        for tag in section.tags
        if " = " in tag
    ]
    shown = config.sample(settings.OPTIONS)
    assert written == [f"[{each.section}] {each.key} = {_default(shown, each)}" for each in settings.OPTIONS]


def test_every_parameter_property_and_script_is_described_and_no_other() -> None:
    page = manual.read(OS_PAGE)
    assert page["PARAMETERS"].tags == [each.name for each in parameters.PARAMETERS]
    assert sorted(page["SCRIPTS"].tags) == sorted(provider._VERBS)
    assert set(page["PROPERTIES"].tags) == {*properties._CHECKS, *properties._TRUTHS, "EXCLUDE_TASK_NAME"}


def test_every_task_that_can_be_left_out_is_named() -> None:
    assert f"The names are {', '.join(tasks.EXCLUDABLE)}." in manual.read(OS_PAGE)["PROPERTIES"].text


def test_every_secret_is_said_to_be_one() -> None:
    text = manual.read(OS_PAGE)["PARAMETERS"].text
    for secret in parameters.SECRETS:
        entry = text.partition(f"\n{secret}\n")[2].partition("\n")[0]
        assert re.search("[(]secret|Secret, if", entry), secret


def sentences() -> Iterator[tuple[str, str]]:
    """Where each error of the scripts and the program is raised, and a pattern of its words."""
    for path in sorted((SNF_IMAGE / "snf_image").glob("*.py")) + sorted((SNF_IMAGE / "snf_image" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in ERRORS:
                continue
            words = _words(node.args[0]) if node.args else []
            if sum(character.isalpha() for word in words for character in word) > WORDLESS:
                yield f"{path.name}:{node.lineno}", ".+".join(re.escape(word) for word in words)


SENTENCES = dict(sentences())


@pytest.mark.parametrize("where", SENTENCES)
def test_every_error_has_an_entry_with_its_remedy(where: str) -> None:
    tags = [tag for page in (OS_PAGE, "snf-image.8") for section in manual.read(page).values() for tag in section.tags]
    assert [tag for tag in tags if re.fullmatch(SENTENCES[where], tag)] != [], SENTENCES[where]


def test_every_page_is_packaged() -> None:
    root = Path(__file__).parents[2]
    listed = (root / "debian" / "ganeti-os-snf-image.manpages").read_text(encoding="utf-8").split()
    assert listed == sorted(f"docs/man/{page.name}" for page in manual.FOLDER.glob("*snf-image*"))
