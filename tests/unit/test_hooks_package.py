# SPDX-License-Identifier: BSD-2-Clause
"""What the package ganeti-cloud-hooks puts where, and what its pages say of it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from pathlib import Path

import click
import pytest

from ganeti_cloud import config, spool
from ganeti_hooks import entry, paths, settings, stamps
from ganeti_hooks.cli import cli
from kvm_ifup.running import releasing
from tests.unit import manual
from tests.unit.test_man_pages import commands

ROOT = Path(__file__).parents[2]
PACKAGE = "ganeti-cloud-hooks"
PAGE = "ganeti-cloud-hooks.8"
COMMANDS = dict(commands(cli, PACKAGE))

# Folders that Ganeti 3.0 and 3.1 look into, by lib/cmdlib of both; those of the cluster's own addresses, its checks and
# its beginning and end are not for us.
OF_GANETI = {
    *("cluster-destroy", "cluster-init", "cluster-modify", "cluster-rename", "cluster-verify", "disk-grow"),
    *("group-add", "group-evacuate", "group-modify", "group-remove", "group-rename"),
    *("instance-add", "instance-change-group", "instance-export", "instance-failover", "instance-migrate"),
    *("instance-modify", "instance-move", "instance-reboot", "instance-recreate-disks", "instance-reinstall"),
    *("instance-remove", "instance-rename", "instance-start", "instance-stop", "mirrors-replace"),
    *("network-add", "network-connect", "network-disconnect", "network-modify", "network-remove", "network-rename"),
    *("node-add", "node-migrate", "node-modify", "node-remove", "config-update"),
}


def lines(suffix: str) -> list[str]:
    """Of the file of debhelper for the package."""
    return (ROOT / "debian" / f"{PACKAGE}.{suffix}").read_text(encoding="utf-8").splitlines()


def test_every_hook_is_linked_and_is_one_of_ganeti() -> None:
    assert sorted(lines("links")) == sorted(f"{paths.PROGRAM[1:]} {paths.place(hook)[1:]}" for hook in paths.DUTIES)
    assert {path for path, _ in paths.DUTIES} <= OF_GANETI
    assert {path for path in OF_GANETI if path.startswith(("instance-", "disk-", "mirrors-"))} == set(paths.INSTANCE)


def test_ganeti_does_not_skip_our_name() -> None:
    """Its rule is that of run-parts(8)."""
    assert re.fullmatch("[a-zA-Z0-9_-]+", paths.NAME)


def test_what_is_installed_is_there() -> None:
    sources = [line.split()[0] for suffix in ("install", "examples", "manpages") for line in lines(suffix)]
    sources.append(lines("bash-completion")[0].split()[0])
    assert [source for source in sources if not source.startswith("usr/") and not (ROOT / source).exists()] == []
    assert f"ganeti_hooks/scripts/hook {Path(paths.PROGRAM[1:]).parent}" in lines("install")
    assert [path.name for path in (ROOT / "ganeti_hooks/scripts").iterdir() if not os.access(path, os.X_OK)] == []
    assert [f"/{line}" for line in lines("dirs")] == [str(stamps.FOLDER)]


def test_the_program_that_releases_taps_is_where_its_package_puts_it() -> None:
    installed = (ROOT / "debian/ganeti-kvm-ifup.install").read_text(encoding="utf-8").splitlines()
    source, folder = next(line.split() for line in installed if line.startswith("kvm-ifup/scripts/release "))
    release = entry.Places().release
    assert f"/{folder}/{Path(source).name}" == release
    assert os.access(ROOT / source, os.X_OK)


@pytest.mark.host_tools
def test_a_hook_loads_nothing_slow() -> None:
    code = f"import sys; sys.path[:0] = [{str(ROOT)!r}]\nimport ganeti_hooks.entry\nprint(sorted(sys.modules))"
    argv = ["/usr/bin/python3", "-IS", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, encoding="utf-8", timeout=30, check=True)
    loaded = set(ast.literal_eval(done.stdout))
    slow = {"click", "dataclasses", "inspect", "logging", "socket", "subprocess", "threading", "tomllib"}
    assert loaded & slow == set()


def test_the_sample_is_made_of_the_table() -> None:
    sample = (ROOT / "ganeti_hooks/hooks.toml.sample").read_text(encoding="utf-8")
    assert sample == config.sample(settings.OPTIONS)


def test_the_page_lists_every_hook() -> None:
    text = manual.read(PAGE)["HOOKS"].lines
    blocks = [part.split() for part in "\n".join(text).split(".nf") for part in [part]]
    listed = " ".join(word for block in blocks for word in block)
    releasing = sorted(path for (path, _), duty in paths.DUTIES.items() if duty.releases)
    both, first, after = re.split(r"In the first phase alone:|After these, taps are released:", listed)
    names = re.compile(r"\b(?:cluster|disk|group|instance|mirrors|network|node)-[a-z-]+")
    assert names.findall(both) == list(paths.INSTANCE)
    assert names.findall(first) == list(paths.OTHERS)
    assert names.findall(after) == releasing


def test_who_releases_taps_has_ended_by_itself_before_it_is_given_up() -> None:
    assert releasing.LIMIT_S < entry.RELEASE_S


def heading(path: str) -> str:
    return f"{path} [option...]"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_of_a_command_is_described_with_it(path: str) -> None:
    known = {name for parameter in COMMANDS[path].params for name in parameter.opts if name.startswith("-")}
    assert not [each for each in COMMANDS[path].params if isinstance(each, click.Argument)]
    tags = manual.read(PAGE)[heading(path)].tags
    assert {name for tag in tags for name in re.findall(r"(?<!\S)-{1,2}[a-z][a-z-]*", tag)} == known


def test_no_command_is_described_that_is_not_there() -> None:
    written = {each for each in manual.read(PAGE) if each.startswith(f"{PACKAGE} ")}
    assert written == {heading(path) for path in COMMANDS}


def test_the_page_names_files_and_limits() -> None:
    sections = manual.read(PAGE)
    known = [settings.CONFIG_FILE, paths.PROGRAM, str(spool.FOLDER), str(stamps.FOLDER)]
    assert sections["FILES"].tags == known
    text = sections["What it never does"].text
    assert f"A disk that hangs costs {entry.TELL_S:g} seconds a hook" in text
    assert f"kvm-ifup is waited for no longer than {entry.RELEASE_S:g} seconds" in text


def test_the_page_of_the_file_has_every_key_with_its_default() -> None:
    [option] = settings.OPTIONS
    assert manual.read("hooks.toml.5")[f"[{option.section}]"].tags == [f"{option.key} = []"]
