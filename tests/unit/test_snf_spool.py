# SPDX-License-Identifier: BSD-2-Clause
"""Events and the spool: nothing of it slows or fails what is told of, and nothing secret is in it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ganeti_cloud import messages, spool
from ganeti_cloud.messages import Event
from ganeti_cloud.spool import bounds
from ganeti_cloud.spool import writer as writing

EVENT = Event("id-1", messages.IMAGE_INFO, 1_700_000_000_123_456_789, "c1", "n1", "vm1", {"messages": ["begins"]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    return path


def test_an_event_has_the_fields_of_the_contract() -> None:
    assert json.loads(EVENT.encode()) == {
        "schema": 1,
        "id": "id-1",
        "type": "image-info",
        "event_time": [1_700_000_000, 123456],
        "timestamp": 1_700_000_000.123456,
        "cluster": "c1",
        "node": "n1",
        "instance": "vm1",
        "messages": ["begins"],
    }


@pytest.mark.parametrize("fields", [{"osparams": {"img_passwd": "x"}}, {"position": 1}, {"messages": "text"}])
def test_what_is_not_on_the_list_does_not_get_into_an_event(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="an event image-info has no such field"):
        EVENT._replace(fields=fields).encode()


def test_a_field_cannot_pass_for_one_of_every_event() -> None:
    with pytest.raises(ValueError, match="no such field cluster"):
        EVENT._replace(fields={"cluster": "other"}).encode()


def test_the_files_are_in_the_order_of_the_events_and_for_root_alone(folder: Path) -> None:
    writer = spool.Writer(folder)
    for number in (9, 10, 11):
        writer.put(EVENT._replace(id=f"id-{number}", time_ns=number))
    writer.close()
    files = sorted(folder.glob("*.json"))
    assert [json.loads(file.read_text(encoding="utf-8"))["id"] for file in files] == ["id-9", "id-10", "id-11"]
    assert [(file.stat().st_mode & 0o777, file.stat().st_uid, file.suffix) for file in files] == (
        [(0o640, os.getuid(), ".json")] * 3
    )
    assert writer.dropped == 0


def test_without_a_folder_events_are_counted_and_one_warning_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    writer = spool.Writer(tmp_path / "none")
    for _ in range(3):
        writer.put(EVENT)
    writer.close()
    assert writer.dropped == 3
    assert capfd.readouterr().err.count("warning: an event cannot be put into") == 1


def test_a_full_spool_takes_no_more(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_FILES", 2)
    (folder / "old.json").touch()
    writer = spool.Writer(folder)
    for number in range(3):
        writer.put(EVENT._replace(time_ns=number))
    writer.close()
    assert (sorted(path.suffix for path in folder.iterdir()), writer.dropped) == (["", ".json", ".json"], 2)
    assert spool.Spool(folder).take_lost() == 2


def test_a_spool_that_hangs_costs_no_more_than_the_patience_at_the_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "put", lambda folder, event: time.sleep(2))
    begin = time.monotonic()
    writer = spool.Writer(folder, patience_s=0.1)
    for _ in range(writing._QUEUE + 100):
        writer.put(EVENT)
    assert time.monotonic() - begin < 1
    writer.close()
    assert time.monotonic() - begin < 1.5
    assert writer.dropped > writing._QUEUE
