# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages say what the programs do: every command, option, key, default, parameter, limit and error."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import ganeti_cloud
from archipelago import parameters, provider
from archipelago.cli import cli, common
from ganeti_cloud import config
from tests.unit import manual

ROOT = Path(__file__).parents[2]

ERRORS = {"CloudError", "ConfigError", "RequestError", "CommandError", "StorageError", "GanetiError"}
# Sentences made of nothing but what another program or the kernel said.
WORDLESS = 4


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = dict(commands(cli, "archipelago"))


def described(path: str) -> manual.Section:
    """The part of archipelago(8) on the command *path*."""
    sections = manual.read("archipelago.8")
    [heading] = [heading for heading in sections if heading.startswith((f"{path} ", f"{path}["))]
    return sections[heading]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_a_command_is_described_with_it(path: str) -> None:
    known = {name for parameter in COMMANDS[path].params for name in parameter.opts if name.startswith("-")}
    written = {name for tag in described(path).tags for name in re.findall(r"-{1,2}[a-z][a-z-]*", tag)}
    assert written == known


def test_no_command_is_described_that_is_not_there() -> None:
    headings = [heading for heading in manual.read("archipelago.8") if heading.startswith("archipelago ")]
    assert len(headings) == len(COMMANDS)


@pytest.mark.parametrize("path", COMMANDS)
def test_the_arguments_of_a_command_stand_in_its_heading(path: str) -> None:
    arguments = [parameter for parameter in COMMANDS[path].params if isinstance(parameter, click.Argument)]
    wanted = " ".join(
        [path, "[option...]", *(argument.metavar or str(argument.name).upper() for argument in arguments)]
    )
    assert wanted in manual.read("archipelago.8")


def test_the_formats_of_images_are_described() -> None:
    [option] = [
        parameter for parameter in COMMANDS["archipelago image import"].params if parameter.name == "format_name"
    ]
    assert isinstance(option.type, click.Choice)
    assert f"--format {'|'.join(option.type.choices)}" in described("archipelago image import").tags


def test_the_options_of_the_program_itself_are_described() -> None:
    places = [f"--{name} {name.upper()}" for name in common.PLACE]
    assert manual.read("archipelago.8")["OPTIONS"].tags == ["-h, --help", "--version", *places]


def test_every_key_is_described_with_its_default_and_no_other() -> None:
    sections = manual.read("archipelago.toml.5")
    assert {option.section for option in parameters.OPTIONS} == {
        heading.strip("[]") for heading in sections if heading.startswith("[")
    }
    written = [
        f"[{heading.strip('[]')}] {tag}"
        for heading, section in sections.items()
        if heading.startswith("[")
        for tag in section.tags
        if " = " in tag
    ]
    shown = config.sample(parameters.OPTIONS)
    defaults = [f"[{option.section}] {option.key} = {_default(shown, option)}" for option in parameters.OPTIONS]
    assert written == defaults


def _default(sample: str, option: config.Option) -> str:
    """The default of *option* the way the sample file has it."""
    part = sample.partition(f"[{option.section}]")[2]
    return part.partition(f"#{option.key} = ")[2].partition("\n")[0]


def test_every_way_to_map_is_described() -> None:
    tags = manual.read("archipelago.toml.5")["[attach]"].tags
    [option] = [option for option in parameters.OPTIONS if option.key == "map"]
    assert {option.check(word) for word in tags if " = " not in word} == {"krbd", "nbd", "fuse", "auto"}


@pytest.mark.parametrize("key", ["connect_s", "operation_s"])
def test_the_bounds_of_a_limit_are_described(key: str) -> None:
    [option] = [option for option in parameters.OPTIONS if option.key == key]
    text = manual.read("archipelago.toml.5")["[limits]"].text
    line = text.partition(f"{key} = ")[2].partition("\n")[2].partition("\n")[0]
    found = re.search(r"; (\d+) to (\d+)\.$", line)
    assert found is not None, line
    low, high = int(found[1]), int(found[2])
    assert [option.check(low), option.check(high)] == [low, high]
    for outside in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"from {low} to {high}"):
            option.check(outside)


def test_every_disk_parameter_is_described_and_no_other() -> None:
    assert manual.read("archipelago-provider.7")["DISK PARAMETERS"].tags == list(parameters.DISK_PARAMETERS)


def test_every_script_is_described_with_its_limit() -> None:
    limits = {verb: f"{verb} ({limit_s:g} s)" for verb, (_, limit_s) in provider._VERBS.items()}
    assert sorted(manual.read("archipelago-provider.7")["SCRIPTS"].tags) == sorted(limits.values())


def sentences() -> Iterator[tuple[str, str]]:
    """Where each error is raised, and a pattern of its words: what differs from time to time is left open."""
    sources = [*(ROOT / "ganeti_cloud").rglob("*.py"), *(ROOT / "extstorage" / "archipelago").rglob("*.py")]
    for path in sorted(sources):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in ERRORS:
                continue
            words = _words(node.args[0]) if node.args else []
            if sum(character.isalpha() for word in words for character in word) > WORDLESS:
                yield f"{path.name}:{node.lineno}", ".+".join(re.escape(word) for word in words)


def _words(message: ast.expr) -> list[str]:
    """The constant parts of *message*, with an empty one wherever something is put in."""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return [message.value]
    if not isinstance(message, ast.JoinedStr):
        return []
    words = [""]
    for part in message.values:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            words[-1] += part.value
        else:
            words.append("")
    return words


SENTENCES = dict(sentences())


@pytest.mark.parametrize("where", SENTENCES)
def test_every_error_has_an_entry_with_its_remedy(where: str) -> None:
    tags = [
        tag
        for page in ("archipelago.8", "archipelago-provider.7")
        for section in manual.read(page).values()
        for tag in section.tags
    ]
    assert [tag for tag in tags if re.fullmatch(SENTENCES[where], tag)] != [], SENTENCES[where]


@pytest.mark.parametrize("page", sorted(manual.FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_page_names_itself_and_the_version(page: Path) -> None:
    first, title = page.read_text(encoding="utf-8").splitlines()[:2]
    name, section = page.name.rsplit(".", 1)
    assert first == '.\\" SPDX-License-Identifier: BSD-2-Clause'
    assert title.startswith(f".TH {name.upper()} {section} ")
    assert title.endswith(f' "ganeti-cloud {ganeti_cloud.__version__}" "ganeti-cloud"')


def test_every_page_is_packaged() -> None:
    listed = (ROOT / "debian" / "ganeti-extstorage-archipelago.manpages").read_text(encoding="utf-8").split()
    assert listed == sorted(f"docs/man/{page.name}" for page in manual.FOLDER.glob("archipelago*"))


def test_the_sample_is_what_the_program_prints() -> None:
    sample = ROOT / "extstorage" / "archipelago" / "archipelago.toml.sample"
    assert sample.read_text(encoding="utf-8") == config.sample(parameters.OPTIONS)
