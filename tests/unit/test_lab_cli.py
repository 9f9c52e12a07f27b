# SPDX-License-Identifier: BSD-2-Clause
"""The command line as far as it works without root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from ganeti_cloud.errors import CloudError, RequestError
from lab import cli as cli_module
from lab.cli import cli, main
from lab.lab import Lab, require_root, require_tools
from lab.network import Network
from lab.node import Node
from lab.places import Places
from lab.spec import LabSpec, Subnet
from lab.timeline import Timeline


@pytest.mark.parametrize("verb", sorted(cli.commands))
def test_help_has_an_example_that_parses(verb: str) -> None:
    text = CliRunner().invoke(cli, [verb, "--help"]).output.partition("Options:")[0]
    examples = [line.split("|")[-1].split() for line in text.partition("Examples:")[2].splitlines() if "lab " in line]
    assert examples
    for words in examples:
        assert words[:2] == ["lab", verb]
        cli.commands[verb].make_context(verb, words[2:])


def test_an_unknown_node() -> None:
    with pytest.raises(RequestError) as caught:
        Lab.of(LabSpec(nodes=2)).node("node7")
    assert (str(caught.value), caught.value.hint) == ("lab 'lab' has no node7", "it has node1, node2, store")


def test_nodes_by_number_and_name() -> None:
    lab = Lab.of(LabSpec())
    assert [lab.node(which).name for which in (1, "2", "node3", "store")] == ["node1", "node2", "node3", "store"]


def test_no_such_lab() -> None:
    with pytest.raises(RequestError) as caught:
        Lab.open("unheardof")
    assert (str(caught.value), caught.value.hint) == ("there is no lab 'unheardof'", "lab up --name unheardof")


def test_a_missing_tool() -> None:
    with pytest.raises(RequestError) as caught:
        require_tools(["no-such-tool"])
    assert str(caught.value) == "this machine has no no-such-tool"
    assert caught.value.hint == "make setup installs what the lab needs on this machine"


def test_root_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(RequestError) as caught:
        require_root()
    assert (str(caught.value), caught.value.hint) == ("the lab needs root", "sudo lab/lab ...")


def test_a_node_that_is_down(tmp_path: Path) -> None:
    node = Node("node1", Places("unheardof"), Network("unheardof", Subnet.parse("198.51.100.0/24")))
    with pytest.raises(CloudError) as caught:
        node.run(["true"], timeout_s=1)
    assert (str(caught.value), caught.value.hint) == (
        "node1 is down",
        "lab up --name unheardof boots it again",
    )


def test_main_tells_errors_in_two_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise RequestError("no", hint="yes")

    monkeypatch.setattr(cli_module, "cli", fail)
    with pytest.raises(SystemExit) as caught:
        main()
    assert (caught.value.code, capsys.readouterr().err) == (1, "error: no\nhint: yes\n")


def test_timeline() -> None:
    lines: list[str] = []
    times = iter([0.0, 1.0, 3.5, 4.0])
    timeline = Timeline(lines.append, clock=lambda: next(times))
    with timeline.step("store ready"):
        pass
    timeline.total("lab up")
    assert lines == ["   2.5 s store ready", "   4.0 s lab up, in all"]
