# SPDX-License-Identifier: BSD-2-Clause
"""What is kept of a tap is read back as it was, and anything else is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud.errors import CloudError
from kvm_ifup.port import Port
from kvm_ifup.running.state import CLOSED, MAKING, UP, Broken, State, States
from tests.unit.kvm_ifup_node import PORT, PORTS

ENVIRON = {"INTERFACE": "tap0", "TAGS": "a b"}


@pytest.fixture
def states(tmp_path: Path) -> States:
    return States(str(tmp_path))


@pytest.mark.parametrize("port", PORTS.values(), ids=PORTS)
@pytest.mark.parametrize("phase", [MAKING, UP, CLOSED])
def test_what_is_written_is_read(states: States, port: Port, phase: str) -> None:
    state = State(phase, 7, ENVIRON, port)
    states.write(state)
    assert states.read("tap0") == state
    assert states.all() == [state]


def test_only_root_reads_it(states: States) -> None:
    states.write(State(UP, 7, ENVIRON, PORT))
    assert (states.folder / "tap0.json").stat().st_mode & 0o777 == 0o600


def test_nothing_is_known_of_another_tap(states: States) -> None:
    states.write(State(UP, 7, ENVIRON, PORT))
    assert states.read("tap1") is None


def test_forgetting_twice(states: States) -> None:
    states.write(State(UP, 7, ENVIRON, PORT))
    states.forget("tap0")
    states.forget("tap0")
    assert (states.read("tap0"), states.all()) == (None, [])


def test_no_folder_is_no_state(tmp_path: Path) -> None:
    states = States(str(tmp_path / "none"))
    assert (states.read("tap0"), states.all()) == (None, [])


def changed(path: str, value: object) -> str:
    """The text of a state in which what is at *path* is *value*."""
    raw = written()
    inner = raw
    *way, last = path.split(".")
    for step in way:
        inner = inner[step]
    inner[last] = value
    return json.dumps(raw)


def written() -> Any:
    """The JSON of a good state."""
    from kvm_ifup.running import encoding

    port = encoding.encode(PORTS["vlans"])
    return {"format": 1, "phase": UP, "ifindex": 7, "environ": ENVIRON, "port": port}


WRONG = {
    "empty": "",
    "cut short": json.dumps(written())[:-20],
    "no object": "[]",
    "null": "null",
    "deep": "[" * 100_000,
    "not UTF-8": "\udcff",
    "format": changed("format", 2),
    "phase": changed("phase", "done"),
    "ifindex": changed("ifindex", "7"),
    "ifindex of truth": changed("ifindex", True),
    "environ": changed("environ", {"A": 1}),
    "environ is a list": changed("environ", []),
    "another tap": changed("port.tap", "tap1"),
    "a path": changed("port.tap", "../tap0"),
    "instance": changed("port.instance", "a b;c"),
    "mac": changed("port.mac", "aa"),
    "mac of nobody": changed("port.mac", "ff:ff:ff:ff:ff:ff"),
    "ip": changed("port.ip", 7),
    "sources": changed("port.sources", None),
    "networks4": changed("port.sources.networks4", "198.51.100.7/32"),
    "a network of IPv6": changed("port.sources.networks4", ["2001:db8::/64"]),
    "kind": changed("port.connection.kind", "tunnel"),
    "no kind": changed("port.connection", None),
    "bridge": changed("port.connection.bridge", "br0; reboot"),
    "tagged": changed("port.connection.vlans", {"untagged": None, "tagged": ["5"]}),
    "mask": changed("port.isolation", "ff"),
    "rates": changed("port.rates", {"sent": 1.5, "received": None}),
    "macspoof": changed("port.macspoof", "no"),
    "tags": changed("port.network_tags", "public"),
    "binding": changed("port.binding", "MAC=x\n"),
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_and_stops_nobody(states: States, text: str) -> None:
    states.write(State(UP, 8, ENVIRON, PORTS["bare"]._replace(tap="tap9")))
    (states.folder / "tap0.json").write_bytes(text.encode(errors="surrogateescape"))
    found = states.read("tap0")
    assert isinstance(found, Broken)
    assert (found.tap, bool(found.reason)) == ("tap0", True)
    assert [each.tap if isinstance(each, Broken) else each.port.tap for each in states.all()] == ["tap0", "tap9"]


def test_the_good_one_that_these_are_made_of(states: States) -> None:
    (states.folder / "tap0.json").write_text(json.dumps(written()), encoding="utf-8")
    assert states.read("tap0") == State(UP, 7, ENVIRON, PORTS["vlans"])


def test_a_folder_in_the_place_of_a_file(states: States) -> None:
    (states.folder / "tap0.json").mkdir()
    assert isinstance(states.read("tap0"), Broken)
    with pytest.raises(CloudError, match=r"tap0\.json: Is a directory"):
        states.forget("tap0")


def test_other_files_are_no_states(states: States) -> None:
    for name in ("lock", ".tap0.json.77.tmp", ".hidden.json", "a name with spaces.json", "tap1"):
        (states.folder / name).write_text("{}", encoding="utf-8")
    assert states.all() == []
    states.tidy()
    assert not (states.folder / ".tap0.json.77.tmp").exists()
    assert (states.folder / "lock").exists()


def test_no_place_for_it_is_one_line(tmp_path: Path) -> None:
    states = States(str(tmp_path / "none"))
    with pytest.raises(CloudError, match="No such file or directory"):
        states.write(State(UP, 7, ENVIRON, PORT))
