# SPDX-License-Identifier: BSD-2-Clause
"""The marks of a volume that moves, and Ganeti's record of its disk."""

from __future__ import annotations

from typing import cast

import pytest

from archipelago.migrating import mark, record
from archipelago.migrating.mark import Mark
from archipelago.migrating.record import Disk
from archipelago.migrating.steps import Phase
from archipelago.store import Store
from ganeti_cloud.errors import StorageError
from tests.unit.settings import VOLUME

OLD = {"driver": "rados", "pool": "rbd", "namespace": ""}
NEW = {"driver": "file", "pool": "nfs", "namespace": "", "origin": "debian-13"}
MARK = Mark("old", Phase.COPYING, "0123abcd", "node1", OLD, NEW)


class Marked:
    """A store that has nothing but a mark."""

    def __init__(self, text: str) -> None:
        self._text = text

    def moving(self, name: str) -> str:
        assert name == VOLUME
        return self._text


def marked(text: str) -> Store:
    return cast("Store", Marked(text))


def test_a_mark_is_read_as_it_was_written() -> None:
    assert mark.decode(MARK.encode(), VOLUME) == MARK
    assert "\n" not in MARK.encode()


@pytest.mark.parametrize("text", ["nonsense", "{}", '{"phase": "gone"}', "[]", '{"phase": "moved", "more": 1}'])
def test_a_damaged_mark_stops_everything(text: str) -> None:
    with pytest.raises(StorageError, match="is damaged"):
        mark.of(marked(text), VOLUME)


OPENABLE = {("new", Phase.MOVED)}


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("side", ["old", "new"])
def test_only_the_place_that_is_the_truth_can_be_opened(side: str, phase: Phase) -> None:
    store = marked(Mark(side, phase, "t", "node1", OLD, NEW).encode())  # type: ignore[arg-type] # it is one of the two
    if (side, phase) in OPENABLE:
        mark.refuse_moving(store, VOLUME)
        return
    with pytest.raises(StorageError) as caught:
        mark.refuse_moving(store, VOLUME)
    assert str(caught.value) == f"volume {VOLUME} is being moved from rados:rbd/{VOLUME} to file:nfs/{VOLUME}"
    assert f"archipelago volume migrate {VOLUME}" in caught.value.hint


def test_a_volume_that_does_not_move_can_be_opened() -> None:
    mark.refuse_moving(marked(""), VOLUME)
    assert mark.other_side(marked(""), VOLUME) is None


@pytest.mark.parametrize(
    ("side", "phase", "expected"),
    [
        ("old", Phase.COPYING, NEW),
        ("old", Phase.SWITCHING, NEW),
        ("old", Phase.MOVED, NEW),
        ("new", Phase.COPYING, None),
        ("new", Phase.MOVED, OLD),
    ],
)
def test_with_a_removed_volume_goes_its_other_side_unless_that_is_the_truth(
    side: str, phase: Phase, expected: dict[str, str] | None
) -> None:
    store = marked(Mark(side, phase, "t", "node1", OLD, NEW).encode())  # type: ignore[arg-type] # it is one of the two
    assert mark.other_side(store, VOLUME) == expected


CONFIG = {
    "nodes": {"n1": {"name": "node1.example.org"}, "n2": {"name": "node2.example.org"}},
    "instances": {
        "i1": {"name": "web", "primary_node": "n1", "disks": ["d0"]},
        "i2": {"name": "db", "primary_node": "n2", "disks": ["d1", "d2"]},
    },
    "disks": {
        "d0": {"logical_id": ["archipelago", "a.ext.disk0"], "params": {"provider": "archipelago"}},
        "d1": {"logical_id": ["other", VOLUME], "params": {"provider": "other"}},
        "d2": {
            "logical_id": ["archipelago", VOLUME],
            "params": {"provider": "archipelago", "access": "kernelspace", "pool": "fast", "origin": "debian-13"},
        },
        "d3": {"logical_id": ["archipelago", "detached.ext.disk0"], "params": {}},
        "d4": {"params": {}},
    },
}


def test_the_disk_of_a_volume_is_found_in_ganetis_configuration() -> None:
    assert record.found(CONFIG, VOLUME) == Disk("db", 1, "node2.example.org", {"pool": "fast", "origin": "debian-13"})
    assert record.found(CONFIG, "detached.ext.disk0") is None
    assert record.found(CONFIG, "unknown.ext.disk0") is None


def test_this_node_is_known_by_its_short_and_its_full_name(monkeypatch: pytest.MonkeyPatch) -> None:
    class Uname:
        nodename = "node1"

    monkeypatch.setattr("os.uname", Uname)
    assert [record.is_this(name) for name in ("node1", "node1.example.org", "node10.example.org")] == [
        True,
        True,
        False,
    ]
