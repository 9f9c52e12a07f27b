# SPDX-License-Identifier: BSD-2-Clause
"""Many at once: writers in processes of their own, killed ones among them, and a reader beside them."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ganeti_cloud import messages
from ganeti_cloud.messages import Event
from ganeti_cloud.spool import Spool, put, reading

EVENT = Event("id-1", messages.IMAGE_INFO, 1_700_000_000_123_456_000, "c1", "n1", "vm1", {"messages": ["begins"]})
WRITERS = 6
EACH = 60


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir(mode=0o2750)
    return path


def writer(folder: Path, number: int) -> int:
    """A process that puts events, with a clock of its own. Its process id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # Half of them believe that it is yesterday.
        late_ns = number % 2 * 86_400 * 10**9
        real = time.time_ns
        time.time_ns = lambda: real() - late_ns
        for count in range(EACH):
            put(folder, EVENT._replace(id=f"{number}-{count}"))
        status = 0
    finally:
        os._exit(status)


def drain(folder: Path, pids: list[int]) -> list[str]:
    """The ids of all events in the order in which a reader meets them, until all writers have ended and it is empty."""
    there, met, highest = Spool(folder), [], ""
    running = set(pids)
    while True:
        for pid in list(running):
            if os.waitpid(pid, os.WNOHANG)[0]:
                running.remove(pid)
        ended = not running
        names = there.names()
        for name in names:
            assert name > highest
            highest = name
            met.append(there.read(name).id)
            there.remove(name)
        if ended and not names:
            return met


def test_events_of_each_writer_arrive_in_its_order_and_numbers_only_grow(folder: Path) -> None:
    met = drain(folder, [writer(folder, number) for number in range(WRITERS)])
    assert len(met) == WRITERS * EACH
    for number in range(WRITERS):
        assert [each for each in met if each.startswith(f"{number}-")] == [f"{number}-{each}" for each in range(EACH)]
    assert sorted(path.name for path in folder.iterdir()) == [".sequence"]


def test_killed_writers_hold_up_nobody(folder: Path) -> None:
    pids = [writer(folder, number) for number in range(WRITERS)]
    for pid in pids[::2]:
        time.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
    met = drain(folder, pids)
    for number in range(WRITERS):
        own = [each for each in met if each.startswith(f"{number}-")]
        assert own == [f"{number}-{each}" for each in range(len(own))]
        assert len(own) == EACH or not number % 2


def test_threads_of_one_process_take_turns_as_well(folder: Path) -> None:
    def work(number: int) -> None:
        for count in range(20):
            put(folder, EVENT._replace(id=f"{number}-{count}"))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = Spool(folder)
    met = [there.read(name).id for name in there.names()]
    assert len(met) == 80
    for number in range(4):
        assert [each for each in met if each.startswith(f"{number}-")] == [f"{number}-{each}" for each in range(20)]


def test_a_listing_that_misses_an_event_shows_none_behind_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is read piece by piece: an event may come into a piece that was read, the next into one that was not."""
    put(folder, EVENT._replace(id="id-1"))
    listdir = os.listdir

    def torn(path: Path) -> list[str]:
        before = listdir(path)
        for name in ("id-2", "id-3"):
            put(folder, EVENT._replace(id=name))
        return [*before, max(listdir(path))]

    there = Spool(folder)
    monkeypatch.setattr(os, "listdir", torn)
    met = [there.read(name).id for name in there.names()]
    monkeypatch.undo()
    assert met == ["id-1"]
    assert [there.read(name).id for name in there.names()] == ["id-1", "id-2", "id-3"]


def test_a_flood_is_shown_in_parts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_NAMES", 3)
    for number in range(5):
        put(folder, EVENT._replace(id=f"id-{number}"))
    there = Spool(folder)
    met = []
    while names := there.names():
        met.append([there.read(name).id for name in names])
        for name in names:
            there.remove(name)
    assert met == [["id-0", "id-1", "id-2"], ["id-3", "id-4"]]
