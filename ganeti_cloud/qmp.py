# SPDX-License-Identifier: BSD-2-Clause
"""A client of QEMU's monitor (QMP) and of the guest agent behind QEMU: JSON, a line a message, over a Unix socket.

See QEMU's docs/interop/qmp-spec and qemu-ga-ref. QEMU serves one client of a socket at a time, and the next one is
connected but not greeted until the first has gone: so connect, ask, and go, for Ganeti asks there as well.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ganeti_cloud.errors import CloudError

# A guest may send what it likes through its agent.
_AGENT_CAP = 1 << 16
_MONITOR_CAP = 1 << 24

# Sent before a guest-sync-delimited, and by the agent before the answer to it: no JSON has this byte.
_SENTINEL = b"\xff"


class Unanswered(CloudError):
    """Nobody listens at the socket, or no whole answer came in time."""


class Refused(CloudError):
    """The answer was an error. ``kind`` is QMP's class of it, such as ``GenericError`` or ``DeviceNotFound``."""

    def __init__(self, message: str, *, kind: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class Client:
    """A connection; made by :func:`monitor` or :func:`agent`."""

    def __init__(self, connection: socket.socket, path: str, cap: int) -> None:
        self._socket = connection
        self._path = path
        self._cap = cap
        self._heard = b""
        self._serial = 0

    def execute(self, command: str, arguments: Mapping[str, Any] | None = None, *, timeout_s: float = 5.0) -> Any:
        """What QEMU (or the agent) returns for *command*; events that come in between are dropped.

        Raises Refused when the answer is an error, and Unanswered when none comes within *timeout_s*.
        """
        self._serial += 1
        request: dict[str, Any] = {"execute": command, "id": self._serial}
        if arguments:
            request["arguments"] = arguments
        end = time.monotonic() + timeout_s
        self.send(json.dumps(request).encode() + b"\n", end)
        while True:
            answer = decoded(self.line(end, command), self._path)
            # An error about a message that could not be parsed has no id.
            if answer.get("id", self._serial if "error" in answer else None) == self._serial:
                return result(answer, command)

    def send(self, data: bytes, end: float) -> None:
        """Send *data* before *end* (monotonic)."""
        self._limit(end, "the socket")
        try:
            self._socket.sendall(data)
        except OSError as err:
            raise self._gone(err) from err

    def line(self, end: float, command: str) -> bytes:
        """The next line, without its end, before *end* (monotonic)."""
        while b"\n" not in self._heard:
            self._limit(end, command)
            try:
                piece = self._socket.recv(65536)
            except TimeoutError as err:
                raise _late(self._path, command) from err
            except OSError as err:
                raise self._gone(err) from err
            if not piece:
                raise self._gone(None)
            self._heard += piece
            if len(self._heard) > self._cap:
                raise Unanswered(f"{self._path}: an answer longer than {self._cap} bytes")
        line, _, self._heard = self._heard.partition(b"\n")
        return line

    def _limit(self, end: float, command: str) -> None:
        left_s = end - time.monotonic()
        if left_s <= 0:
            raise _late(self._path, command)
        self._socket.settimeout(left_s)

    def _gone(self, err: OSError | None) -> Unanswered:
        return Unanswered(f"{self._path}: the connection ended ({err or 'closed by QEMU'})", hint=_HINT)


_HINT = "see whether the instance still runs (`gnt-instance list -o +oper_state`)"


@contextmanager
def monitor(path: str, *, timeout_s: float = 10.0) -> Iterator[Client]:
    """A connection to the QMP socket *path*, ready for commands. *timeout_s* is for the greeting, which another client
    holds back as long as it is connected. Raises Unanswered."""
    end = time.monotonic() + timeout_s
    with _connected(path, end) as connection:
        client = Client(connection, path, _MONITOR_CAP)
        # QEMU may send an event before it greets.
        while "QMP" not in decoded(client.line(end, "the greeting"), path):
            pass
        client.execute("qmp_capabilities")
        yield client


@contextmanager
def agent(path: str, *, timeout_s: float = 3.0) -> Iterator[Client]:
    """A connection to the guest agent behind the socket *path*, which has answered. Raises Unanswered when it does not
    within *timeout_s*: no agent runs in the guest, or the guest does not run."""
    end = time.monotonic() + timeout_s
    with _connected(path, end) as connection:
        client = Client(connection, path, _AGENT_CAP)
        number = int.from_bytes(os.urandom(4))
        request = {"execute": "guest-sync-delimited", "arguments": {"id": number}}
        client.send(_SENTINEL + json.dumps(request).encode() + b"\n", end)
        # What an earlier client did not wait for may come first.
        while True:
            _, sentinel, text = client.line(end, "guest-sync-delimited").rpartition(_SENTINEL)
            if sentinel and decoded(text, path).get("return") == number:
                break
        yield client


@contextmanager
def _connected(path: str, end: float) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(max(0.01, end - time.monotonic()))
        try:
            connection.connect(path)
        except OSError as err:
            raise Unanswered(f"{path}: {err.strerror or err}", hint=_HINT) from err
        yield connection


def decoded(line: bytes, path: str) -> dict[str, Any]:
    """The message in *line*. Raises Unanswered when that is none."""
    try:
        message = json.loads(line)
    except ValueError as err:
        raise Unanswered(f"{path}: not JSON: {line[:80]!r}") from err
    if not isinstance(message, dict):
        raise Unanswered(f"{path}: not a message: {line[:80]!r}")
    return message


def result(answer: Mapping[str, Any], command: str) -> Any:
    """What *answer* returns. Raises Refused for an error."""
    error = answer.get("error")
    if error is None:
        return answer.get("return")
    raise Refused(f"{command}: {error.get('desc')}", kind=str(error.get("class")))


def _late(path: str, command: str) -> Unanswered:
    return Unanswered(f"{path}: no answer to {command} in time", hint=_HINT)
