# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages of archipelago, where it has what other components have not."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from archipelago import parameters, provider
from archipelago.cli import common
from ganeti_cloud import config
from tests.unit import manual
from tests.unit.test_man_pages import COMMANDS, described

SAMPLE = Path(__file__).parents[2] / "extstorage" / "archipelago" / "archipelago.toml.sample"


def test_the_formats_of_images_are_described() -> None:
    [option] = [
        parameter for parameter in COMMANDS["archipelago image import"].params if parameter.name == "format_name"
    ]
    assert isinstance(option.type, click.Choice)
    assert f"--format {'|'.join(option.type.choices)}" in described("archipelago image import").tags


def test_the_options_of_the_program_itself_are_described() -> None:
    places = [f"--{name} {name.upper()}" for name in common.PLACE]
    assert manual.read("archipelago.8")["OPTIONS"].tags == ["-h, --help", "--version", *places]


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


def test_the_sample_is_what_the_program_prints() -> None:
    assert SAMPLE.read_text(encoding="utf-8") == config.sample(parameters.OPTIONS)
