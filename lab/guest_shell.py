# SPDX-License-Identifier: BSD-2-Clause
"""A person's work at the serial console of a guest: log in with a password, type a command, read what it says."""

from __future__ import annotations

import codecs
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ganeti_cloud.errors import CloudError
from lab.console import connect, serial_socket
from lab.node import Node

_CAP_BYTES = 1 << 20
_RETRY_S = 0.5
# QEMU keeps nothing for a client that comes late, so the prompt is asked for again now and then.
_NUDGE_S = 5.0
_ANSWER_S = 30.0


class LoginRefusedError(CloudError):
    """The guest does not take the password."""


@dataclass
class Dialogue:
    """What is said to and heard from *client* until the time *end* of the monotonic clock."""

    client: socket.socket
    end: float
    heard: str = field(default="", init=False)
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace"), init=False, repr=False
    )

    def say(self, text: str) -> None:
        self.client.settimeout(self._left_s())
        self.client.sendall(text.encode())

    def expect(self, pattern: str, *, within_s: float) -> re.Match[str] | None:
        """Listen until *pattern* is heard; what was heard up to it is forgotten. None when that takes too long."""
        wanted, end = re.compile(pattern), min(self.end, time.monotonic() + within_s)
        while True:
            if found := wanted.search(self.heard):
                self.heard = self.heard[found.end() :]
                return found
            left_s = end - time.monotonic()
            if left_s <= 0:
                return None
            self.client.settimeout(left_s)
            try:
                piece = self.client.recv(4096)
            except TimeoutError:
                return None
            if not piece:
                raise ConnectionResetError("the console was closed")
            self.heard = (self.heard + self._decoder.decode(piece))[-_CAP_BYTES:]

    def _left_s(self) -> float:
        return max(0.01, self.end - time.monotonic())


@dataclass(frozen=True)
class GuestShell:
    """A shell in a guest, as :func:`logged_in` gives it."""

    dialogue: Dialogue

    def ask(self, command: str, *, timeout_s: float = _ANSWER_S) -> str:
        """What *command* prints on both outputs, whatever its end. Raises CloudError when it takes too long."""
        mark = secrets.token_hex(8)
        typed = (
            f"{mark[:8]}''{mark[8:]}"  # so that the echo of the command, if there is one, is not taken for its answer
        )
        self.dialogue.say(f"echo {typed}; {{ {command}\n}} 2>&1 </dev/null; echo; echo {typed}\n")
        found = self.dialogue.expect(rf"(?s){mark}\r?\n(.*?)\r?\n{mark}\r?\n", within_s=timeout_s)
        if found is None:
            raise CloudError(f"{command}: no answer in {timeout_s:g} s", hint=_last_line(self.dialogue.heard))
        return found[1].replace("\r\n", "\n").strip("\n")


@contextmanager
def logged_in(node: Node, instance: str, user: str, password: str, *, timeout_s: float) -> Iterator[GuestShell]:
    """A shell of *user* in *instance* on *node*, once the guest has booted so far; all must be over in *timeout_s*.

    Raises LoginRefusedError when the password is not taken, CloudError when the guest does not come up in time.
    """
    with opened(serial_socket(node, instance), timeout_s) as client:
        dialogue = Dialogue(client, time.monotonic() + timeout_s)
        yield log_in(dialogue, user, password)


@contextmanager
def opened(path: Path, timeout_s: float) -> Iterator[socket.socket]:
    """The console *path*, once QEMU listens there."""
    end = time.monotonic() + timeout_s
    while True:
        try:
            client = connect(path, max(0.01, end - time.monotonic()))
            break
        except OSError as err:
            if time.monotonic() > end:
                raise CloudError(f"{path}: nobody listens there after {timeout_s:g} s") from err
        time.sleep(_RETRY_S)
    with client:
        yield client


def log_in(dialogue: Dialogue, user: str, password: str) -> GuestShell:
    """Log in over *dialogue* as *user*."""
    while dialogue.expect(r"login: ", within_s=_NUDGE_S) is None:
        _check_time(dialogue, "no login prompt")
        dialogue.say("\r")
    dialogue.say(f"{user}\r")
    if dialogue.expect(r"Password: ", within_s=_ANSWER_S) is None:
        raise CloudError("the guest asked for no password", hint=_last_line(dialogue.heard))
    dialogue.say(f"{password}\r")
    told = dialogue.expect(r"[#$] |Login incorrect", within_s=_ANSWER_S)
    if told is None:
        raise CloudError("no shell after the password", hint=_last_line(dialogue.heard))
    if told[0] == "Login incorrect":
        raise LoginRefusedError(f"the guest does not take the password of {user}")
    # Neither echo, prompt and line editing of the shell nor what the kernel says may come between the answers.
    dialogue.say("stty -echo cols 1000; exec env PS1= PS2= TERM=dumb /bin/sh\r")
    shell = GuestShell(dialogue)
    shell.ask("dmesg --console-off")
    return shell


def _check_time(dialogue: Dialogue, what: str) -> None:
    if time.monotonic() >= dialogue.end:
        raise CloudError(f"{what} in time", hint=f"the last it said: {_last_line(dialogue.heard)}")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing"
