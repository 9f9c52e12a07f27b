# SPDX-License-Identifier: BSD-2-Clause
"""The fence around the unit tests, and the scripted programs within it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import run
from tests.unit.faketools import FakeTools


def test_no_program_of_the_machine_is_found(bin_dir: Path) -> None:
    with pytest.raises(CommandError, match="^true: No such file or directory$"):
        run(["true"], timeout_s=5)
    assert os.environ["PATH"] == str(bin_dir)


@pytest.mark.host_tools
def test_the_marker_opens_the_fence(bin_dir: Path) -> None:
    assert run(["echo", "open"], timeout_s=5) == "open\n"
    assert os.environ["PATH"] != str(bin_dir)


def test_the_network_is_out_of_reach() -> None:
    with pytest.raises(AssertionError, match="a unit test asked for the network"):
        socket.create_connection(("192.0.2.1", 80))
    with socket.socket() as unconnected, pytest.raises(AssertionError, match="a unit test asked for the network"):
        unconnected.connect(("127.0.0.1", 1))


def test_a_fake_tool_records_each_call_and_speaks(fake_tool: FakeTools) -> None:
    tool = fake_tool("tool", says="it's\n%s\n")
    assert tool.calls == []
    assert run(["tool", "one", "two words", "", "*\n"], timeout_s=5) == "it's\n%s\n"
    run(["tool"], timeout_s=5)
    assert tool.calls == [["one", "two words", "", "*\n"], []]


def test_a_fake_tool_fails_as_told(fake_tool: FakeTools) -> None:
    fake_tool("tool", complains="first\nlast\n", status=7)
    with pytest.raises(CommandError, match="^tool: exit 7: last$"):
        run(["tool"], timeout_s=5)
