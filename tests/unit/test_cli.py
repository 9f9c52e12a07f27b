# SPDX-License-Identifier: BSD-2-Clause
"""The program ``archipelago``, up to where the cluster begins."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from archipelago import cli
from archipelago.cli import common
from archipelago.parameters import OPTIONS
from ganeti_cloud import __version__, config
from tests.unit.faketools import FakeTools


@pytest.fixture(autouse=True)
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration file, which does not exist."""
    path = tmp_path / "archipelago.toml"
    monkeypatch.setattr(common, "CONFIG_FILE", str(path))
    return path


class Called:
    """Calls the program as a shell would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["archipelago", *arguments])
        status = cli.main()
        return (status, *self._capsys.readouterr())


@pytest.fixture
def archipelago(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Called:
    return Called(monkeypatch, capsys)


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Each command with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            yield from commands(each, (*path, name))


COMMANDS = dict(commands(cli.cli))


def test_the_commands() -> None:
    assert set(COMMANDS) == {
        (),
        ("config",),
        ("doctor",),
        ("image",),
        *(("image", name) for name in ("import", "sync", "create", "export", "serve", "list", "info", "set", "remove")),
        ("volume",),
        *(
            ("volume", name)
            for name in ("list", "info", "snapshot", "rollback", "clone", "flatten", "rename", "remove", "migrate")
        ),
        ("snapshot",),
        *(("snapshot", name) for name in ("list", "remove")),
        ("trash",),
        *(("trash", name) for name in ("list", "restore", "purge")),
        ("gc",),
        ("maintain",),
    }


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "archipelago")
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_shows_examples(archipelago: Called, words: tuple[str, ...], option: str) -> None:
    status, out, err = archipelago(*words, option)
    assert (status, err) == (0, "")
    assert out.startswith(f"Usage: {' '.join(['archipelago', *words])} ")
    if words != ("image",):  # which only holds the others
        assert "\n  Example" in out
        assert f"\n    archipelago {' '.join(words)}".rstrip() in out


def test_version(archipelago: Called) -> None:
    assert archipelago("--version") == (0, f"archipelago, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence", "command"),
    [
        pytest.param(["imag"], "No such command 'imag'.", "archipelago", id="command"),
        pytest.param(["image", "ls"], "No such command 'ls'.", "archipelago image", id="sub-command"),
        pytest.param(["image", "info"], "Missing argument 'NAME'.", "archipelago image info", id="no argument"),
        pytest.param(["image", "import", "x"], "Missing argument 'SOURCE'.", "archipelago image import", id="no file"),
        pytest.param(
            ["image", "list", "x"], "Got unexpected extra argument (x)", "archipelago image list", id="one too many"
        ),
        pytest.param(["image", "list", "--jsn"], "No such option: --jsn", "archipelago image list", id="option"),
        pytest.param(
            ["image", "import", "--format", "vdi", "x", "y"],
            "Invalid value for '--format': 'vdi' is not one of 'raw', 'qcow2', 'vmdk', 'vpc', 'vhdx'.",
            "archipelago image import",
            id="choice",
        ),
    ],
)
def test_usage_errors(archipelago: Called, arguments: list[str], sentence: str, command: str) -> None:
    status, out, err = archipelago(*arguments)
    error, hint = err.splitlines()
    assert (status, out, hint) == (2, "", f"hint: see {command} --help")
    assert error == f"error: {sentence}" or error.startswith(f"error: {sentence} Did you mean")


def test_a_file_that_is_not_there(archipelago: Called, tmp_path: Path) -> None:
    path = tmp_path / "none.qcow2"
    assert archipelago("image", "import", "debian", str(path)) == (
        1,
        "",
        f"error: {path}: No such file or directory\nhint: name a file that root can read\n",
    )


def test_a_bad_configuration(archipelago: Called, config_file: Path) -> None:
    config_file.write_text("[attach]\nmap = 'magic'\n", encoding="utf-8")
    assert archipelago("config") == (
        1,
        "",
        f"error: {config_file}: [attach] map: 'magic' is not one of auto, krbd, nbd, fuse\n"
        "hint: correct the file; archipelago.toml(5) describes its keys\n",
    )


def test_config_prints_what_holds(archipelago: Called, config_file: Path) -> None:
    config_file.write_text("[ceph]\npool = 'ssd'\n", encoding="utf-8")
    assert archipelago("config") == (
        0,
        "".join(
            f"{section}.{key} = {value}\n"
            for (section, key), value in {**config.defaults(OPTIONS), ("ceph", "pool"): "ssd"}.items()
        ),
        "",
    )


def test_config_prints_a_sample_even_beside_a_bad_file(archipelago: Called, config_file: Path) -> None:
    config_file.write_text("[[[", encoding="utf-8")
    assert archipelago("config", "--sample") == (0, config.sample(OPTIONS), "")


def test_an_interruption(
    archipelago: Called, tmp_path: Path, fake_tool: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ganeti_cloud.imagefile.fetching.check", interrupt)
    status, out, err = archipelago("image", "import", "debian", str(tmp_path / "x"))
    assert (status, out, err.lstrip("\n")) == (
        130,
        "",
        "error: interrupted\nhint: nothing half-made is left; start it again\n",
    )


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (512, "512 bytes"),
        (1 << 20, "1 MiB"),
        (5 << 20, "5 MiB"),
        ((10 << 30) - (1 << 20), "10239 MiB"),
        (10 << 30, "10.0 GiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert common.shown_size(size) == text


def test_the_place_on_the_command_line_stands_for_the_disk_parameters(archipelago: Called) -> None:
    status, _, err = archipelago("--pool", "a b", "volume", "list")
    assert (status, err.startswith("error: disk parameter pool='a b' is not a name of letters, digits")) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("snapshot", "remove", "disk0"), "'disk0' names no snapshot"),
        (("snapshot", "remove", "disk0@a/b"), "'a/b' cannot be the name of a snapshot"),
        (("volume", "clone", "../disk0@a", "new"), "'../disk0' cannot be the name of a volume"),
        (("trash", "purge", "--now"), "--now needs a name"),
        (("gc", "--older-than", "soon"), "'soon' is not a time"),
        (("gc", "--older-than", "1"), "'1' is not a time"),
    ],
)
def test_what_is_refused_before_anybody_is_asked(archipelago: Called, arguments: tuple[str, ...], error: str) -> None:
    status, out, err = archipelago(*arguments)
    assert (status, out, err.splitlines()[0]) == (1, "", f"error: {error}")


def test_a_table_has_columns_and_is_empty_without_rows() -> None:
    assert common.table(("A", "LONGER"), [("xyz", "1"), ("x", "2")]) == "A    LONGER\nxyz  1\nx    2"
    assert common.table(("A",), []) == ""
