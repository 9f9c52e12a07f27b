# SPDX-License-Identifier: BSD-2-Clause
"""The client of QEMU's monitor and of the guest agent, against a peer on a real socket."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud import qmp
from tests.unit.fakeqmp import peer


def echo(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"return": request.get("arguments", {})}]


def test_a_command_returns_what_the_peer_says(tmp_path: Path) -> None:
    with peer(tmp_path / "qmp", echo) as qemu:
        with qmp.monitor(qemu.path) as client:
            assert client.execute("query-status", {"a": [1, "ü"]}) == {"a": [1, "ü"]}
            assert client.execute("stop") == {}
        assert qemu.asked == ["qmp_capabilities", "query-status", "stop"]


def test_events_in_between_are_dropped(tmp_path: Path) -> None:
    def busy(request: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"event": "STOP", "data": {}}, {"event": "RESUME"}, {"return": 7}]

    with peer(tmp_path / "qmp", busy) as qemu, qmp.monitor(qemu.path) as client:
        assert client.execute("query-x") == 7


def test_an_error_is_refused_with_its_class(tmp_path: Path) -> None:
    def no(request: dict[str, Any]) -> list[dict[str, Any]]:
        if request["execute"] == "qmp_capabilities":
            return [{"return": {}}]
        return [{"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}}]

    with peer(tmp_path / "qmp", no) as qemu, qmp.monitor(qemu.path) as client:
        with pytest.raises(qmp.Refused) as caught:
            client.execute("eject", {"id": "x"})
        assert (str(caught.value), caught.value.kind) == ("eject: Device 'x' not found", "DeviceNotFound")


def test_silence_ends_with_the_time(tmp_path: Path) -> None:
    def silent(request: dict[str, Any]) -> list[dict[str, Any]]:
        return [{"return": {}}] if request["execute"] == "qmp_capabilities" else []

    with peer(tmp_path / "qmp", silent) as qemu, qmp.monitor(qemu.path) as client:
        begin = time.monotonic()
        with pytest.raises(qmp.Unanswered, match="no answer to query-jobs in time"):
            client.execute("query-jobs", timeout_s=0.1)
        assert time.monotonic() - begin < 5


def test_a_second_client_waits_for_the_greeting_and_no_longer_than_told(tmp_path: Path) -> None:
    with peer(tmp_path / "qmp", echo) as qemu, qmp.monitor(qemu.path):
        with pytest.raises(qmp.Unanswered, match="the greeting"), qmp.monitor(qemu.path, timeout_s=0.1):
            pass


def test_nobody_at_the_socket(tmp_path: Path) -> None:
    with pytest.raises(qmp.Unanswered, match="No such file"), qmp.monitor(str(tmp_path / "none")):
        pass


def test_an_agent_is_in_step_before_it_is_asked(tmp_path: Path) -> None:
    with peer(tmp_path / "qga", echo, is_agent=True) as guest:
        with qmp.agent(guest.path) as client:
            assert client.execute("guest-ping") == {}
        assert guest.asked == ["guest-sync-delimited", "guest-ping"]


def test_without_an_agent_the_guest_is_silent(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "qga"))
        listener.listen()
        with (
            pytest.raises(qmp.Unanswered, match="guest-sync-delimited"),
            qmp.agent(str(tmp_path / "qga"), timeout_s=0.1),
        ):
            pass


@pytest.mark.parametrize("sent", [b"x" * (1 << 17), b"[]\n", b"\xff{nonsense\n"], ids=["endless", "list", "no JSON"])
def test_a_hostile_guest_is_refused(tmp_path: Path, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "qga"))
        listener.listen()
        with socket.socket(socket.AF_UNIX) as ours:
            ours.settimeout(2)
            ours.connect(str(tmp_path / "qga"))
            theirs, _ = listener.accept()
            with theirs:
                theirs.setblocking(False)
                try:
                    theirs.sendall(sent)
                except BlockingIOError:
                    pass
                client = qmp.Client(ours, "qga", 1 << 16)
                with pytest.raises(qmp.Unanswered):
                    qmp.decoded(client.line(time.monotonic() + 2, "guest-sync-delimited").lstrip(b"\xff"), "qga")
