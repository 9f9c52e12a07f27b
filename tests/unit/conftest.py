# SPDX-License-Identifier: BSD-2-Clause
"""The machine is fenced off: a unit test finds no program of it, and no network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ganeti_cloud import process
from tests.unit.faketools import FakeTools


@pytest.fixture(autouse=True)
def bin_dir(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The whole PATH of the test, empty at first. The marker ``host_tools`` leaves the machine's PATH as it is."""
    folder = tmp_path / "bin"
    folder.mkdir()
    if request.node.get_closest_marker("host_tools") is None:
        monkeypatch.setenv("PATH", str(folder))
        monkeypatch.setitem(process.BASE_ENV, "PATH", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever connects to another machine or looks a name up fails the test. Unix sockets are no network."""

    connect = socket.socket.connect

    def refuse(*args: object) -> None:
        raise AssertionError(f"a unit test asked for the network: {args!r}")

    def connect_nearby(self: socket.socket, address: str) -> None:
        if self.family != socket.AF_UNIX:
            refuse(self, address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_nearby)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def fake_tool(bin_dir: Path) -> FakeTools:
    """Makes scripted programs: ``lvs = fake_tool("lvs", says="vg0\\n")``, then ``lvs.calls``."""
    return FakeTools(bin_dir)
