# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages of every component say what its programs do: each command, option, key, default and error.

What only one component has is looked at in a file of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import archipelago.cli
import archipelago.parameters
import ganeti_cloud
import snf_image.cli
import snf_image.settings
from ganeti_cloud import config
from tests.unit import manual

ROOT = Path(__file__).parents[2]


class Component(NamedTuple):
    """What a component's pages are about: the *program* with its page in section 8, the keys of its file in section 5.

    Its errors are raised in *sources*, and stand in the page of the program or in the page *interface*. *pages* are
    all of its package. What daemons alone use of the ground floor stands in their own pages.
    """

    program: str
    cli: click.Group
    options: Sequence[config.Option]
    interface: str
    sources: Sequence[Path]
    package: str
    pages: str


COMPONENTS = {
    "archipelago": Component(
        program="archipelago",
        cli=archipelago.cli.cli,
        options=archipelago.parameters.OPTIONS,
        interface="archipelago-provider.7",
        sources=[ROOT / "ganeti_cloud", ROOT / "extstorage" / "archipelago"],
        package="ganeti-extstorage-archipelago",
        pages="archipelago*",
    ),
    "snf-image": Component(
        program="snf-image",
        cli=snf_image.cli.cli,
        options=snf_image.settings.OPTIONS,
        interface="ganeti-os-snf-image.7",
        sources=[ROOT / "os_providers" / "snf-image" / "snf_image"],
        package="ganeti-os-snf-image",
        pages="*snf-image*",
    ),
}


@pytest.fixture(params=COMPONENTS)
def component(request: pytest.FixtureRequest) -> Component:
    return COMPONENTS[request.param]


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, with the words that call it."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from commands(inner, f"{path} {name}")
    else:
        yield path, command


COMMANDS = {path: command for each in COMPONENTS.values() for path, command in commands(each.cli, each.program)}


def heading(path: str) -> str:
    """The heading under which the command *path* is described."""
    arguments = [parameter for parameter in COMMANDS[path].params if isinstance(parameter, click.Argument)]
    words = (argument.metavar or str(argument.name).upper() for argument in arguments)
    return " ".join([path, "[option...]", *words])


def described(path: str) -> manual.Section:
    """The part of the program's page on the command *path*."""
    return manual.read(f"{path.partition(' ')[0]}.8")[heading(path)]


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_a_command_is_described_with_it(path: str) -> None:
    known = {name for parameter in COMMANDS[path].params for name in parameter.opts if name.startswith("-")}
    written = {name for tag in described(path).tags for name in re.findall(r"(?<!\S)-{1,2}[a-z][a-z-]*", tag)}
    assert written == known


def test_no_command_is_described_that_is_not_there(component: Component) -> None:
    program = component.program
    headings = {each for each in manual.read(f"{program}.8") if each.startswith(f"{program} ")}
    assert headings == {heading(path) for path, _ in commands(component.cli, program)}


def test_every_key_is_described_with_its_default_and_no_other(component: Component) -> None:
    sections = manual.read(f"{component.program}.toml.5")
    assert {option.section for option in component.options} == {
        heading.strip("[]") for heading in sections if heading.startswith("[")
    }
    written = [
        f"{heading} {tag}"
        for heading, section in sections.items()
        if heading.startswith("[")
        for tag in section.tags
        if " = " in tag
    ]
    shown = config.sample(component.options)
    assert written == [f"[{each.section}] {each.key} = {_default(shown, each)}" for each in component.options]


def _default(sample: str, option: config.Option) -> str:
    """The default of *option* the way the sample file has it."""
    part = sample.partition(f"[{option.section}]")[2]
    return part.partition(f"#{option.key} = ")[2].partition("\n")[0]


SENTENCES = [
    pytest.param(component, pattern, id=f"{name} {where}")
    for name, component in COMPONENTS.items()
    for where, pattern in manual.errors(
        path for folder in component.sources for path in folder.rglob("*.py") if path.parent.name != "daemon"
    )
]


@pytest.mark.parametrize(("component", "sentence"), SENTENCES)
def test_every_error_has_an_entry_with_its_remedy(component: Component, sentence: str) -> None:
    pages = (f"{component.program}.8", component.interface)
    tags = [tag for page in pages for section in manual.read(page).values() for tag in section.tags]
    assert [tag for tag in tags if re.fullmatch(sentence, tag)] != [], sentence


@pytest.mark.parametrize("page", sorted(manual.FOLDER.iterdir()), ids=lambda path: path.name)
def test_a_page_names_itself_and_the_version(page: Path) -> None:
    first, title = page.read_text(encoding="utf-8").splitlines()[:2]
    name, section = page.name.rsplit(".", 1)
    assert first == '.\\" SPDX-License-Identifier: BSD-2-Clause'
    assert title.startswith(f".TH {name.upper()} {section} ")
    assert title.endswith(f' "ganeti-cloud {ganeti_cloud.__version__}" "ganeti-cloud"')


def test_every_page_is_packaged(component: Component) -> None:
    listed = (ROOT / "debian" / f"{component.package}.manpages").read_text(encoding="utf-8").split()
    assert listed == sorted(f"docs/man/{page.name}" for page in manual.FOLDER.glob(component.pages))
