# SPDX-License-Identifier: BSD-2-Clause
"""The writer in the test guest: it must notice everything that storage can do wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.guest_writer import BLOCK, STRIDE, Disk, Writer, block, check, number_in, wanted

SLOTS = 4


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with few slots."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as stream:
        stream.truncate(SLOTS * STRIDE)
    return path


@pytest.fixture
def writer(disk: Path, tmp_path: Path) -> Writer:
    return started(disk, tmp_path / "state")


def started(disk: Path, state: Path) -> Writer:
    writer = Writer(Disk(str(disk), writable=True), str(state))
    writer.resume()
    return writer


def put(disk: Path, slot: int, content: bytes) -> None:
    """What bad storage does."""
    with disk.open("r+b") as stream:
        stream.seek(slot * STRIDE)
        stream.write(content)


def test_a_block_is_recognised_whole_and_never_damaged() -> None:
    whole = block(7)
    assert (len(whole), number_in(whole), number_in(bytes(BLOCK))) == (BLOCK, 7, 0)
    assert number_in(whole[: BLOCK // 2] + block(8)[BLOCK // 2 :]) is None
    assert number_in(whole[:-1] + b"\0") is None
    assert number_in(b"\xff" * BLOCK) is None


@pytest.mark.parametrize(
    ("last", "slots"),
    [(0, [0, 0, 0, 0]), (1, [0, 1, 0, 0]), (4, [4, 1, 2, 3]), (6, [4, 5, 6, 3]), (9, [8, 9, 6, 7])],
)
def test_what_each_slot_must_hold(last: int, slots: list[int]) -> None:
    assert wanted(SLOTS, last) == slots


def test_good_storage_has_no_mismatches(writer: Writer, disk: Path, tmp_path: Path) -> None:
    for _ in range(9):
        writer.step()
    writer.tell()
    assert (tmp_path / "state").read_text() == f"writes=9 verified={9 * 2 + SLOTS} mismatches=0 errors=0\n"
    again = started(disk, tmp_path / "state")
    assert (again.writes, again.mismatches) == (9, 0)


@pytest.mark.parametrize(
    ("slot", "content"),
    [
        pytest.param(0, block(4), id="lost"),
        pytest.param(0, block(7), id="misplaced"),
        pytest.param(0, block(8)[:512], id="torn"),
        pytest.param(1, bytes(BLOCK), id="gone"),
    ],
)
def test_what_storage_does_wrong_is_found(
    writer: Writer, disk: Path, tmp_path: Path, slot: int, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(9):
        writer.step()
    put(disk, slot, content + block(4)[len(content) :])
    assert not check(str(disk), 0)
    assert f"slot {slot} has write" in capsys.readouterr().out
    assert started(disk, tmp_path / "other").mismatches >= 1
    writer.step()
    writer.step()
    assert writer.mismatches == 1


def test_the_check_from_outside(writer: Writer, disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(6):
        writer.step()
    assert check(str(disk), 6)
    assert not check(str(disk), 7)
    assert capsys.readouterr().out == "writes=6 wrong=0\n" * 2
