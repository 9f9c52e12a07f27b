# SPDX-License-Identifier: BSD-2-Clause
"""Whoever writes to the spool or reads it can be killed at any moment: before and after each system call, that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from ganeti_cloud import messages
from ganeti_cloud.messages import Event
from ganeti_cloud.spool import Spool, SpoolFull, bounds, put, putting
from tests.unit.syscalls import killed_at

EVENT = Event("id-1", messages.IMAGE_INFO, 1_700_000_000_123_456_000, "c1", "n1", "vm1", {"messages": ["begins"]})
# Of stops; what is killed here has ended long before.
MOST = 400


def event(name: str) -> Event:
    return EVENT._replace(id=name)


def ids(folder: Path) -> list[str]:
    there = Spool(folder)
    return [there.read(name).id for name in there.names()]


def clean_up(folder: Path) -> int:
    """Have what was left behind be old, and be removed: how many events that were."""
    for path in folder.glob(".*-*"):
        os.utime(path, (0, 0))
    lost = Spool(folder).expire(3600)
    assert list(folder.glob(".*-*")) == []
    return lost


def every_end(tmp_path: Path, action: Callable[[Path], object], before: Callable[[Path], object]) -> Iterator[Path]:
    """A folder for each moment at which *action* on it can be killed, and one on which it has ended."""
    for stop in range(1, MOST):
        folder = tmp_path / f"spool-{stop}"
        folder.mkdir()
        before(folder)
        ended = killed_at(stop, partial(action, folder))
        yield folder
        if ended:
            assert stop > 20
            return
    raise AssertionError("the action does not end")


def nothing(folder: Path) -> None:
    """As it is on a new node."""


def two(folder: Path) -> None:
    put(folder, event("old-1"))
    put(folder, event("old-2"))


@pytest.mark.parametrize(("before", "old"), [(nothing, []), (two, ["old-1", "old-2"])])
def test_there_is_a_whole_event_or_none(tmp_path: Path, before: Callable[[Path], None], old: list[str]) -> None:
    seen = []
    for folder in every_end(tmp_path, lambda folder: put(folder, event("killed")), before):
        there = ids(folder)
        assert there in (old, [*old, "killed"])
        put(folder, event("next"))
        assert ids(folder) == [*there, "next"]
        # What did not get there, and was begun, is known to be lost.
        left = len(list(folder.glob(".new-*")))
        assert clean_up(folder) == left == Spool(folder).take_lost()
        seen.append("killed" in there)
    # Once it is there, it stays there.
    assert seen == sorted(seen)
    assert 0 < sum(seen) < len(seen)


def test_a_loss_is_counted_once_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(folder: Path) -> None:
        with suppress(SpoolFull):
            put(folder, event("too much"))

    def full(folder: Path) -> None:
        monkeypatch.setattr(bounds, "MOST_FILES", 20)
        two(folder)
        monkeypatch.setattr(bounds, "MOST_FILES", 2)

    for folder in every_end(tmp_path, lose, full):
        assert ids(folder) == ["old-1", "old-2"]
        clean_up(folder)
        assert Spool(folder).take_lost() in (0, 1)
    assert Spool(folder).take_lost() == 0


def test_what_was_lost_is_told_at_least_once(tmp_path: Path) -> None:
    def tell(folder: Path) -> None:
        Spool(folder).take_lost(lambda lost: put(folder, event(f"lost-{lost}")))

    seen = []
    for folder in every_end(tmp_path, tell, lambda folder: putting.lose(folder, 3)):
        told, left = ids(folder), Spool(folder).take_lost()
        assert (told, left) in (([], 3), (["lost-3"], 3), (["lost-3"], 0))
        seen.append(left)
    assert seen == sorted(seen, reverse=True)
    assert set(seen) == {3, 0}


def test_what_is_set_aside_is_known_to_be_lost(tmp_path: Path) -> None:
    def set_aside(folder: Path) -> None:
        there = Spool(folder)
        there.set_aside(there.names()[0])

    seen = []
    for folder in every_end(tmp_path, set_aside, two):
        there, lost = ids(folder), Spool(folder).take_lost()
        assert (there, lost) in ((["old-1", "old-2"], 0), (["old-1", "old-2"], 1), (["old-2"], 1))
        assert len(there) + len(list(folder.glob("corrupt/*"))) == 2
        seen.append(len(there))
    assert set(seen) == {2, 1}


def test_what_expires_is_known_to_be_lost(tmp_path: Path) -> None:
    for folder in every_end(tmp_path, lambda folder: Spool(folder).expire(-1), two):
        there, lost = ids(folder), Spool(folder).take_lost()
        assert lost in ((0, 2) if len(there) == 2 else (2,))
    assert there == []
