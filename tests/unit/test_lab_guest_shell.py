# SPDX-License-Identifier: BSD-2-Clause
"""Working at a guest's console, with a program of ours in the guest's place."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from lab.guest_shell import Dialogue, GuestShell, LoginRefusedError, log_in, opened


@contextmanager
def guest(play: Callable[[socket.socket], object], limit_s: float = 10.0) -> Iterator[Dialogue]:
    """A dialogue with *play*, which has the far end."""
    near, far = socket.socketpair()
    thread = threading.Thread(target=play, args=(far,))
    thread.start()
    try:
        with near, far:
            yield Dialogue(near, time.monotonic() + limit_s)
            near.shutdown(socket.SHUT_RDWR)
    finally:
        thread.join()


def said(far: socket.socket, *lines: str) -> None:
    """Say each line, and wait after it for what is typed."""
    for line in lines:
        far.sendall(line.encode())
        far.recv(4096)


def test_the_prompt_is_asked_for_again_when_it_was_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.guest_shell._NUDGE_S", 0.1)
    heard = []

    def play(far: socket.socket) -> None:
        heard.append(far.recv(4096))
        said(far, "template login: ", "Password: ")
        far.sendall(b"\r\nLogin incorrect\r\n")

    with guest(play) as dialogue, pytest.raises(LoginRefusedError) as caught:
        log_in(dialogue, "root", "wrong")
    assert str(caught.value) == "the guest does not take the password of root"
    assert heard == [b"\r"]


def test_a_guest_that_never_asks_for_a_name_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.guest_shell._NUDGE_S", 0.1)
    with guest(lambda far: far.sendall(b"Kernel panic\r\n"), 0.3) as dialogue, pytest.raises(CloudError) as caught:
        log_in(dialogue, "root", "x")
    assert (str(caught.value), caught.value.hint) == ("no login prompt in time", "the last it said: Kernel panic")


def test_letters_may_come_in_pieces() -> None:
    def play(far: socket.socket) -> None:
        for piece in ("├".encode()[:1], "├".encode()[1:], b"vda1\r\n"):
            far.sendall(piece)
            time.sleep(0.05)

    with guest(play) as dialogue:
        found = dialogue.expect("(.)vda1\r\n", within_s=5)
    assert found is not None
    assert found[1] == "├"


def test_a_console_that_closes_is_told() -> None:
    near, far = socket.socketpair()
    far.close()
    with near, pytest.raises(ConnectionResetError):
        Dialogue(near, time.monotonic() + 5).expect("x", within_s=5)


@pytest.mark.host_tools
def test_answers_of_a_real_shell() -> None:
    """On a terminal, which turns line ends around as the guest's does."""
    near, far = socket.socketpair()
    master, slave = pty.openpty()
    shell = subprocess.Popen(
        ["/bin/sh"], stdin=slave, stdout=slave, stderr=slave, env={"PATH": "/usr/bin:/bin", "PS1": ""}
    )
    os.close(slave)

    def carry() -> None:
        try:
            while piece := os.read(master, 4096):
                far.sendall(piece)
        except OSError:
            pass  # the terminal has no shell any more

    def feed() -> None:
        while piece := far.recv(4096):
            os.write(master, piece)

    threads = [threading.Thread(target=carry), threading.Thread(target=feed)]
    for thread in threads:
        thread.start()
    try:
        dialogue = Dialogue(near, time.monotonic() + 10)
        answers = GuestShell(dialogue)
        assert answers.ask("echo one; echo two >&2; exit_status() { return 3; }; exit_status") == "one\ntwo"
        assert answers.ask("printf 'no end of line'") == "no end of line"
        assert answers.ask("true") == ""
        with pytest.raises(CloudError, match="sleep 0.6: no answer in 0.2 s"):
            answers.ask("sleep 0.6", timeout_s=0.2)
    finally:
        shell.kill()
        shell.wait()
        near.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        near.close()
        far.close()
        os.close(master)


def test_a_console_nobody_listens_at(tmp_path: Path) -> None:
    with (
        pytest.raises(CloudError, match=r"serial: nobody listens there after 0\.1 s"),
        opened(tmp_path / "serial", 0.1),
    ):
        pass
