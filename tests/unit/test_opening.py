# SPDX-License-Identifier: BSD-2-Clause
"""Opening and closing, with a store and a node that do as they are told. With real ones it is tested in the lab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archipelago import attached, locking, opening
from archipelago.contract.openings import Opened
from archipelago.mapping import choosing
from archipelago.mapping.mapper import Mapped
from archipelago.parameters import Settings
from ganeti_cloud.errors import StorageError
from tests.unit.faketools import FakeTools
from tests.unit.settings import SETTINGS, VOLUME

OLD = Mapped("/dev/loop3", [("/sys/x", "old")])


class Scripted:
    """A store and a node's mapping; what was asked of them is kept in order."""

    def __init__(self) -> None:
        self.settings = SETTINGS
        self.mapped: Mapped | None = OLD
        self.served = [True]
        self.again = "/dev/loop3"
        self.answers = True
        self.asked: list[str] = []

    def open_volume(self, name: str, *, exclusive: bool) -> Opened:
        self.asked.append(f"open exclusive={exclusive}")
        return Opened([], self._served())

    def renew_opening(self, name: str) -> bool:
        self.asked.append("renew")
        return self._served()

    def close_volume(self, name: str) -> None:
        self.asked.append("close")

    def moving(self, name: str) -> str:
        return ""

    def _served(self) -> bool:
        return self.served.pop(0) if len(self.served) > 1 else self.served[0]

    def find(self, settings: Settings, volume: str) -> Mapped | None:
        return self.mapped

    def unmap(self, settings: Settings, volume: str) -> bool:
        self.asked.append("unmap")
        self.mapped = None
        return True

    def map_again(self, settings: Settings, volume: str) -> Mapped | None:
        self.asked.append("map again")
        return Mapped(self.again, [("/sys/x", "new")])

    @contextmanager
    def opened(self, settings: Settings) -> Iterator[Scripted]:
        if not self.answers:
            raise StorageError("no monitor answered")
        yield self


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Scripted:
    scripted = Scripted()
    for module in (locking, opening):
        monkeypatch.setattr(module, "RUN_FOLDER", str(tmp_path))
    monkeypatch.setattr(opening, "forget", lambda volume: attached.forget(volume, str(tmp_path)))
    monkeypatch.setattr(opening, "opened", scripted.opened)
    monkeypatch.setattr(choosing, "find", scripted.find)
    monkeypatch.setattr(choosing, "unmap", scripted.unmap)
    monkeypatch.setattr(choosing, "map_again", scripted.map_again)
    monkeypatch.setattr(opening, "users_of", lambda device: [])
    monkeypatch.setattr(opening, "_PATIENCE_S", 0.0)
    monkeypatch.setattr(opening, "_LOOK_S", 0.0)
    return scripted


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / f"{VOLUME}.open"


def test_open_and_close_leave_and_take_a_mark(node: Scripted, mark: Path, fake_tool: FakeTools) -> None:
    blockdev = fake_tool("blockdev")
    opening.open_volume(VOLUME, SETTINGS, exclusive=True)
    assert mark.exists()
    for _ in range(2):
        opening.close_volume(VOLUME, SETTINGS)
        assert not mark.exists()
    assert node.asked == ["open exclusive=True", "close", "unmap", "close"]
    assert blockdev.calls == [["--flushbufs", "/dev/loop3"]]


def test_close_leaves_a_device_that_is_in_use(
    node: Scripted, fake_tool: FakeTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tool("blockdev")
    monkeypatch.setattr(opening, "users_of", lambda device: ["17"])
    opening.close_volume(VOLUME, SETTINGS)
    assert node.asked == ["close"]


def test_close_of_what_has_no_device(node: Scripted) -> None:
    node.mapped = None
    opening.close_volume(VOLUME, SETTINGS)
    assert node.asked == ["close"]


def test_a_device_that_the_store_does_not_know_is_made_anew(node: Scripted, tmp_path: Path) -> None:
    node.served = [False, False, True]
    record = tmp_path / f"{VOLUME}.attached"
    record.touch()
    opening.open_volume(VOLUME, SETTINGS, exclusive=False)
    assert node.asked == ["open exclusive=False", "renew", "map again", "renew"]
    assert not record.exists()


def test_a_client_that_comes_back_by_itself_is_waited_for(node: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_PATIENCE_S", 5.0)
    node.served = [False, False, True]
    opening.open_volume(VOLUME, SETTINGS, exclusive=True)
    assert node.asked == ["open exclusive=True", "renew", "renew"]


def test_without_a_device_there_is_nothing_to_heal(node: Scripted) -> None:
    node.mapped, node.served = None, [False]
    opening.open_volume(VOLUME, SETTINGS, exclusive=True)
    assert node.asked == ["open exclusive=True"]


def test_another_device_is_an_error_that_a_second_run_mends(node: Scripted) -> None:
    node.served, node.again = [False], "/dev/loop4"
    with pytest.raises(StorageError) as caught:
        opening.open_volume(VOLUME, SETTINGS, exclusive=True)
    assert (str(caught.value), caught.value.hint) == (
        f"/dev/loop3 of volume {VOLUME} was fenced, or died, and the kernel gave another device for it",
        "run the operation again: it begins with the new device",
    )


def test_a_device_in_use_is_not_taken_away(node: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "users_of", lambda device: ["17", "18"])
    node.served = [False]
    with pytest.raises(StorageError) as caught:
        opening.open_volume(VOLUME, SETTINGS, exclusive=True)
    assert (str(caught.value), caught.value.hint) == (
        f"/dev/loop3 of volume {VOLUME} was fenced, or lost its connection, and is in use by process 17, 18",
        "stop the instance that still uses it on this node, and try again",
    )
    assert "map again" not in node.asked


@pytest.mark.parametrize("answers", [True, False])
def test_detach_gives_up_what_was_open_and_never_fails(node: Scripted, mark: Path, answers: bool) -> None:
    opening.give_up(VOLUME, SETTINGS)
    assert node.asked == []
    mark.touch()
    node.answers = answers
    opening.give_up(VOLUME, SETTINGS)
    assert (node.asked, mark.exists()) == (["close"] if answers else [], False)
