# SPDX-License-Identifier: BSD-2-Clause
"""Freezing a guest and thawing it, against a peer that answers as an agent does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from archipelago import quiescing, running
from archipelago.quiescing import Quiesce, quiesced, why_not
from archipelago.running import Running
from ganeti_cloud.errors import RequestError, StorageError
from tests.unit.fakeqmp import Peer, peer
from tests.unit.settings import VOLUME

FOUND = Running(
    instance="inst1",
    number=0,
    pid=1,
    device="disk-0",
    access="kernelspace",
    link="",
    discard="ignore",
    aio="threads",
    monitor="",
    agent=None,
)


def test_nobody_is_frozen_who_is_not_to_be() -> None:
    assert why_not(Quiesce.NO, VOLUME, FOUND) == ""
    assert why_not(Quiesce.AUTO, VOLUME, FOUND._replace(agent="socket")) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, "no instance of this node runs on it"),
        (FOUND, "instance inst1 has no guest agent: its hypervisor parameter use_guest_agent is off"),
    ],
)
def test_who_cannot_be_frozen_is_not_unless_it_must(found: Running | None, reason: str) -> None:
    assert why_not(Quiesce.AUTO, VOLUME, found) == reason
    with pytest.raises(RequestError) as caught:
        why_not(Quiesce.MUST, VOLUME, found)
    assert str(caught.value) == f"a snapshot of volume {VOLUME} cannot be quiesced: {reason}"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiescing, "_SYNC_S", 0.3)
    monkeypatch.setattr(quiescing, "_FREEZE_S", 0.3)
    monkeypatch.setattr(quiescing, "_RETRY_S", 0.05)
    monkeypatch.setattr(quiescing, "LIMIT_S", 0.5)


def obedient(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"return": 1}]


@pytest.fixture
def guest(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    monkeypatch.setattr(running, "find", lambda volume: FOUND._replace(agent=str(tmp_path / "qga")))
    with peer(tmp_path / "qga", obedient, is_agent=True) as made:
        yield made


SYNC = "guest-sync-delimited"
BOTH = [SYNC, "guest-fsfreeze-freeze", SYNC, "guest-fsfreeze-thaw"]


def test_it_is_frozen_within_the_block_and_thawed_after(guest: Peer) -> None:
    with quiesced(VOLUME, Quiesce.MUST) as state:
        assert guest.asked == BOTH[:2]
        assert (state.frozen, state.remark) == (True, "")
    assert guest.asked == BOTH
    assert state.frozen


def test_an_error_in_the_block_thaws(guest: Peer) -> None:
    with pytest.raises(ZeroDivisionError), quiesced(VOLUME, Quiesce.AUTO):
        raise ZeroDivisionError
    assert guest.asked == BOTH


def test_a_block_that_takes_too_long_is_not_waited_for(guest: Peer) -> None:
    with quiesced(VOLUME, Quiesce.AUTO) as state:
        time.sleep(0.8)
        assert guest.asked == BOTH
    assert (state.frozen, state.remark) == (
        False,
        "the guest was thawed after 0.5 s, before the snapshot was complete",
    )


def test_a_snapshot_that_must_be_quiesced_and_was_not_to_the_end_is_an_error(guest: Peer) -> None:
    with pytest.raises(StorageError, match="is not quiesced"), quiesced(VOLUME, Quiesce.MUST):
        time.sleep(0.8)


def test_an_agent_that_refuses_is_left_alone(tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "find", lambda volume: FOUND._replace(agent=str(tmp_path / "qga")))

    def refusing(request: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"error": {"class": "GenericError", "desc": "failed to freeze /"}}]

    with peer(tmp_path / "qga", refusing, is_agent=True) as guest:
        with quiesced(VOLUME, Quiesce.AUTO) as state:
            assert (state.frozen, state.remark) == (False, "guest-fsfreeze-freeze: failed to freeze /")
        assert guest.asked == BOTH[:2]
        with pytest.raises(RequestError, match="failed to freeze"), quiesced(VOLUME, Quiesce.MUST):
            pytest.fail("the block must not run")


def test_an_agent_that_says_nothing_to_freezing_is_asked_to_thaw(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "find", lambda volume: FOUND._replace(agent=str(tmp_path / "qga")))

    def slow(request: dict[str, Any]) -> list[dict[str, Any]]:
        return [] if request["execute"] == "guest-fsfreeze-freeze" else [{"return": 1}]

    with peer(tmp_path / "qga", slow, is_agent=True) as guest:
        with quiesced(VOLUME, Quiesce.AUTO) as state:
            assert not state.frozen
            assert "does not answer" in state.remark
        assert guest.asked == BOTH


def test_without_an_agent_nothing_is_frozen_or_waited_for(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "find", lambda volume: FOUND._replace(agent=str(tmp_path / "none")))
    with quiesced(VOLUME, Quiesce.AUTO) as state:
        assert "No such file" in state.remark
