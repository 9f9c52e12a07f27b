# SPDX-License-Identifier: BSD-2-Clause
"""A peer that listens at a Unix socket and speaks as QEMU's monitor or as the guest agent does, a client at a time."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GREETING = {"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 2}}, "capabilities": []}}

Answer = Callable[[dict[str, Any]], list[dict[str, Any]]]


class Peer:
    """What was asked of it, in order."""

    def __init__(self, path: Path, answer: Answer, *, is_agent: bool) -> None:
        self.asked: list[str] = []
        self.path = str(path)
        self._answer = answer
        self._is_agent = is_agent
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                try:
                    self._speak(client)
                except OSError:
                    pass  # a client that did not wait

    def _speak(self, client: socket.socket) -> None:
        with client.makefile("rwb") as stream:
            if not self._is_agent:
                _send(stream, GREETING)
            for line in stream:
                self._one(stream, json.loads(line.strip(b"\xff\n")))

    def _one(self, stream: Any, request: dict[str, Any]) -> None:
        command = request["execute"]
        self.asked.append(command)
        if command == "guest-sync-delimited":
            stream.write(b"\xff")
            _send(stream, {"return": request["arguments"]["id"]})
            return
        for answer in self._answer(request):
            _send(stream, {"id": request["id"], **answer} if "event" not in answer else answer)


def _send(stream: Any, message: dict[str, Any]) -> None:
    stream.write(json.dumps(message).encode() + b"\r\n")
    stream.flush()


@contextmanager
def peer(path: Path, answer: Answer, *, is_agent: bool = False) -> Iterator[Peer]:
    """A peer at *path* that sends the messages that *answer* gives for a request."""
    made = Peer(path, answer, is_agent=is_agent)
    yield made
    made.close()
