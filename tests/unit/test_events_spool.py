# SPDX-License-Identifier: BSD-2-Clause
"""The spool: events come out whole, in the order in which they were put, and what does not get in is counted."""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_cloud import messages, process, spool
from ganeti_cloud.messages import Event, MessageError
from ganeti_cloud.spool import Spool, SpoolFull, bounds, names, put, putting, sequence
from tests.unit.test_house import ROOT

EVENT = Event("id-1", messages.IMAGE_INFO, 1_700_000_000_123_456_000, "c1", "n1", "vm1", {"messages": ["begins"]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir(mode=0o2750)
    return path


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The time of the process, in nanoseconds, which a test sets."""
    now = [10**18]
    monkeypatch.setattr(time, "time_ns", lambda: now[0])
    yield now
    monkeypatch.undo()


def ids(folder: Path) -> list[str]:
    """Those of the events in *folder*, as a reader meets them."""
    there = Spool(folder)
    return [there.read(name).id for name in there.names()]


def numbered(*numbers: int) -> list[str]:
    return [f"id-{number}" for number in numbers]


def put_all(folder: Path, *numbers: int) -> None:
    for number in numbers:
        put(folder, EVENT._replace(id=f"id-{number}"))


def test_what_was_put_is_read_and_removed(folder: Path) -> None:
    put(folder, EVENT)
    there = Spool(folder)
    (name,) = there.names()
    assert there.read(name) == EVENT
    there.remove(name)
    there.remove(name)
    assert there.names() == []
    with pytest.raises(FileNotFoundError):
        there.read(name)


def test_nothing_else_is_left_in_the_folder(folder: Path) -> None:
    put(folder, EVENT)
    assert sorted(path.name for path in folder.iterdir()) == [".sequence", *Spool(folder).names()]


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_the_group_of_the_folder_reads_events_and_shares_the_lock(folder: Path, umask: int) -> None:
    os.chown(folder, -1, 4242)
    os.chmod(folder, 0o2750)
    before = os.umask(umask)
    try:
        put(folder, EVENT)
    finally:
        os.umask(before)
    found = {path.suffix: path.stat() for path in folder.iterdir()}
    assert {suffix: (each.st_mode & 0o7777, each.st_gid) for suffix, each in found.items()} == {
        ".json": (0o640, 4242),
        "": (0o660, 4242),
    }


def test_a_clock_that_is_set_back_changes_no_order(folder: Path, clock: list[int]) -> None:
    put_all(folder, 1)
    clock[0] -= 3600 * 10**9
    put_all(folder, 2, 3)
    clock[0] += 7200 * 10**9
    put_all(folder, 4)
    assert ids(folder) == numbered(1, 2, 3, 4)
    assert names.number_of(Spool(folder).names()[-1]) == clock[0]


def test_an_event_that_is_gone_keeps_its_number(folder: Path, clock: list[int]) -> None:
    put_all(folder, 1)
    (first,) = Spool(folder).names()
    Spool(folder).remove(first)
    clock[0] -= 10**9
    put_all(folder, 2)
    assert Spool(folder).names() > [first]


@pytest.mark.parametrize("how", ["missing", "empty", "torn", "other boot", "zeros", "older than the folder"])
def test_without_a_record_of_this_boot_the_names_in_the_folder_count(
    folder: Path, clock: list[int], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    put_all(folder, 1)
    old = (folder / ".sequence").read_bytes()
    put_all(folder, 2, 3)
    if how == "missing":
        (folder / ".sequence").unlink()
    elif how in ("other boot", "older than the folder"):
        (folder / ".sequence").write_bytes(old)  # as of before the power went
        boot = folder.parent / "boot_id"
        boot.write_text("the-next-one\n")
        monkeypatch.setattr(sequence, "_BOOT_ID", boot)
    else:
        (folder / ".sequence").write_bytes({"empty": b"", "torn": old[:100], "zeros": bytes(256)}[how])
    clock[0] -= 3600 * 10**9
    put_all(folder, 4)
    assert ids(folder) == numbered(1, 2, 3, 4)
    # What had been counted in a record that cannot be read is told as one.
    assert Spool(folder).take_lost() == (how in ("empty", "torn", "zeros"))


def test_where_there_is_no_boot_id_the_names_always_count(
    folder: Path, clock: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequence, "_BOOT_ID", folder / "none")
    put_all(folder, 1, 2)
    clock[0] -= 10**9
    put_all(folder, 3)
    assert ids(folder) == numbered(1, 2, 3)


def test_nobody_waits_for_the_lock_longer_than_its_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_all(folder, 1)
    monkeypatch.setattr(sequence, "LOCK_S", 0.05)
    with sequence.locked(folder):
        begin = time.monotonic()
        with pytest.raises(TimeoutError, match="is locked by another process for too long"):
            put_all(folder, 2)
        assert 0.05 <= time.monotonic() - begin < 1
    put_all(folder, 3)
    assert ids(folder) == numbered(1, 3)


def test_what_waited_in_vain_is_lost_in_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_all(folder, 1)
    monkeypatch.setattr(sequence, "LOCK_S", 0.01)
    with sequence.locked(folder), pytest.raises(TimeoutError):
        put_all(folder, 2)
    there = Spool(folder)
    assert (there.expire(3600), there.take_lost()) == (0, 0)
    (left,) = folder.glob(".new-*")
    os.utime(left, (0, 0))
    assert (there.expire(3600), there.take_lost(), list(folder.glob(".new-*"))) == (1, 1, [])
    assert ids(folder) == numbered(1)


def test_a_lock_that_was_removed_meanwhile_is_none(folder: Path) -> None:
    with sequence.locked(folder) as first:
        (folder / ".sequence").unlink()
        with sequence.locked(folder, 0.1) as second:
            assert not os.path.samestat(os.fstat(first._descriptor), os.fstat(second._descriptor))


def test_who_waited_for_a_lock_that_was_removed_takes_the_new_one(folder: Path) -> None:
    in_place = []

    def wait() -> None:
        with sequence.locked(folder) as there:
            in_place.append(os.path.samestat(os.fstat(there._descriptor), os.stat(folder / ".sequence")))

    waiting = threading.Thread(target=wait)
    with sequence.locked(folder):
        waiting.start()
        time.sleep(0.05)
        (folder / ".sequence").unlink()
    waiting.join()
    assert in_place == [True]


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_the_lock_leads_nowhere_else(folder: Path, tmp_path: Path, kind: str) -> None:
    target = tmp_path / "target"
    target.write_text("other")
    path = folder / ".sequence"
    if kind == "link":
        path.symlink_to(target)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OSError, match="sequence"):
        put(folder, EVENT)
    assert target.read_text() == "other"


def test_a_full_spool_takes_no_more_and_counts_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FILES", 2)
    monkeypatch.setattr(bounds, "_COUNT_PAUSE_NS", 0)
    put_all(folder, 1, 2)
    with pytest.raises(SpoolFull, match=r"takes no more events: 2 files of \d+ bytes wait in it"):
        put_all(folder, 3)
    there = Spool(folder)
    there.remove(there.names()[0])
    put_all(folder, 4)
    assert ids(folder) == numbered(2, 4)
    assert (there.take_lost(), there.take_lost()) == (1, 0)


def test_a_spool_is_full_of_bytes_as_well(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 3000)
    with pytest.raises(SpoolFull):
        for _ in range(100):
            put(folder, EVENT)
    assert 2000 < sum(path.stat().st_size for path in folder.glob("*.json")) <= 3000


def test_a_full_folder_is_counted_once_a_while_only(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    look = names.look

    def seen(folder: Path) -> names.Content:
        looks.append(folder)
        return look(folder)

    monkeypatch.setattr(names, "look", seen)
    monkeypatch.setattr(bounds, "MOST_FILES", 10)
    for _ in range(30):
        try:
            put(folder, EVENT)
        except SpoolFull:
            pass
    assert len(looks) <= 3


def test_who_can_wait_leaves_room_to_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FILES", 8)
    there = Spool(folder)
    while there.has_room():
        there.put(EVENT)
    assert len(there.names()) == 6
    assert not there.has_room(1)
    with pytest.raises(SpoolFull):
        there.put(EVENT)
    assert there.take_lost() == 0
    put_all(folder, 1, 2)
    with pytest.raises(SpoolFull):
        put(folder, EVENT)
    assert there.take_lost() == 1


def test_there_is_room_for_as_many_as_there_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FILES", 100)
    assert [Spool(folder).has_room(files) for files in (1, 75, 76)] == [True, True, False]


def test_a_folder_that_is_not_there_has_no_room(folder: Path) -> None:
    assert not Spool(folder / "none").has_room()
    with pytest.raises(FileNotFoundError):
        put(folder / "none", EVENT)


def test_what_is_no_event_is_refused_and_nothing_is_written(folder: Path) -> None:
    with pytest.raises(ValueError, match="no such field"):
        put(folder, EVENT._replace(fields={"osparams": {}}))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 300, b"{", b"[]", b"{}", b"\xff", EVENT.encode().encode()[:-1], b"x" * (messages.MOST_BYTES + 2)],
)
def test_what_is_no_event_is_set_aside_and_lost(folder: Path, data: bytes) -> None:
    put_all(folder, 1)
    there = Spool(folder)
    (name,) = there.names()
    (folder / name).write_bytes(data)
    with pytest.raises(MessageError, match="this is no event"):
        there.read(name)
    there.set_aside(name)
    assert (there.names(), there.take_lost(), there.depth().files) == ([], 1, 0)
    assert (folder / "corrupt" / name).read_bytes() == data


def test_what_is_set_aside_is_bounded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ganeti_cloud.spool.reading._MOST_CORRUPT", 2)
    put_all(folder, 1, 2, 3)
    there = Spool(folder)
    all_names = there.names()
    for name in all_names:
        there.set_aside(name)
    assert sorted(path.name for path in (folder / "corrupt").iterdir()) == all_names[1:]


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_only_regular_files_are_read(folder: Path, tmp_path: Path, kind: str) -> None:
    put_all(folder, 1)
    there = Spool(folder)
    (name,) = there.names()
    (folder / name).rename(tmp_path / "elsewhere")
    if kind == "link":
        (folder / name).symlink_to(tmp_path / "elsewhere")
    else:
        os.mkfifo(folder / name)
    with pytest.raises((OSError, MessageError)):
        there.read(name)


def test_old_events_expire_and_are_lost(folder: Path, clock: list[int]) -> None:
    put_all(folder, 1)
    clock[0] += 100 * 10**9
    put_all(folder, 2)
    there = Spool(folder)
    assert (there.expire(200), there.expire(50), there.expire(50)) == (0, 1, 0)
    assert (ids(folder), there.take_lost()) == (numbered(2), 1)


def test_the_depth_is_of_events_alone(folder: Path, clock: list[int]) -> None:
    there = Spool(folder)
    assert there.depth() == (0, 0, None)
    put_all(folder, 1)
    clock[0] += 5
    put_all(folder, 2)
    (folder / ".new-0").touch()
    (folder / "notes").touch()
    assert there.depth() == (2, 2 * (len(EVENT.encode()) + 1), 10**18)


def test_lost_events_are_told_before_they_are_forgotten(folder: Path) -> None:
    putting.lose(folder, 3)
    there = Spool(folder)
    told: list[int] = []

    def fail(lost: int) -> None:
        told.append(lost)
        raise OSError(errno.ENOSPC, "no room for this either")

    with pytest.raises(OSError, match="no room for this either"):
        there.take_lost(fail)

    def tell(lost: int) -> None:
        told.append(lost)
        putting.lose(folder, 1)  # which comes between

    assert (there.take_lost(tell), there.take_lost(), told) == (3, 1, [3, 3])


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("00000000000000000007.json", 7),
        ("01700000000123456789.json", 1_700_000_000_123_456_789),
        ("99999999999999999999.json", None),
        ("7.json", None),
        ("0000000000000000000७.json", None),
        ("00000000000000000007.json.json", None),
        ("000000000000000000007.jso", None),
        (".sequence", None),
        ("corrupt", None),
    ],
)
def test_only_names_of_twenty_digits_are_events(name: str, number: int | None) -> None:
    assert names.number_of(name) == number


def test_a_record_is_always_as_long_and_any_change_is_seen() -> None:
    most = (1 << 63) - 1
    record = bounds.Record("0" * 36, most, most, most, most, most)
    text = sequence.encode(record)
    assert (len(text), sequence.decode(text)) == (256, record)
    for place in range(len(text.rstrip())):
        assert sequence.decode(text[:place] + b"?" + text[place + 1 :]) is None
    assert len(sequence.encode(record._replace(last=0, lost=0))) == 256


def test_the_package_says_what_is_in_it() -> None:
    assert all(getattr(spool, name) is not None for name in spool.__all__)
    with pytest.raises(AttributeError, match="has no attribute Reader"):
        spool.Reader  # noqa: B018


def test_a_record_that_is_behind_the_folder_is_mended(folder: Path) -> None:
    """As after a file system that lost its disk was mounted again, in the same boot."""
    put_all(folder, 1)
    old = (folder / ".sequence").read_bytes()
    put_all(folder, 2, 3)
    (folder / ".sequence").write_bytes(old)
    assert ids(folder) == numbered(1, 2, 3)


@pytest.mark.host_tools
def test_who_puts_one_event_imports_next_to_nothing() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from ganeti_cloud.spool import put; print(*sys.modules)"
    loaded = set(process.run([sys.executable, "-ISc", code], timeout_s=60).split())
    slow = {"click", "dataclasses", "inspect", "logging", "queue", "subprocess", "tempfile", "threading", "uuid"}
    assert loaded & {*slow, "ganeti_cloud.spool.reading", "ganeti_cloud.spool.writer"} == set()
    assert "ganeti_cloud.spool.putting" in loaded
