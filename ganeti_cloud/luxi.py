# SPDX-License-Identifier: BSD-2-Clause
"""LUXI: asking Ganeti's master daemon on its Unix socket, without Ganeti's library (which is bound to its Python).

A message is JSON with the byte 3 behind it: ``{"method", "args"}``, answered by ``{"success", "result"}``. Whoever may
open the socket (root, and the group gnt-daemons) has full control of the cluster. It is there on the master only.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from ganeti_cloud.errors import GanetiError

SOCKET = "/var/run/ganeti/socket/ganeti-query"

_END = b"\x03"
_CONNECT_S = 10.0
_ANSWER_S = 60.0
# How long one call may wait for a job to change; luxid itself allows 89 s.
_CHANGE_S = 30.0

# The states of a job that does not change any more.
FINAL = frozenset({"canceled", "success", "error"})


class Luxi:
    """One connection, closed at the end of a ``with`` block. Raises GanetiError for all that goes wrong."""

    def __init__(self, path: str = SOCKET) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_CONNECT_S)
        self._rest = b""
        try:
            self._socket.connect(path)
        except OSError as err:
            self._socket.close()
            raise GanetiError(
                f"Ganeti's master daemon cannot be reached at {path} ({err})",
                hint="on the master node, see `systemctl status ganeti-luxi`",
            ) from err
        self._socket.settimeout(_ANSWER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def call(self, method: str, arguments: Sequence[object]) -> Any:
        """The result of one call."""
        request = json.dumps({"method": method, "args": list(arguments)}).encode()
        try:
            self._socket.sendall(request + _END)
            answer = json.loads(self._message())
            success, result = answer["success"], answer["result"]
        except (OSError, ValueError, TypeError, KeyError) as err:
            raise GanetiError(
                f"Ganeti's master daemon did not answer {method} ({err})", hint="see /var/log/ganeti/luxi-daemon.log"
            ) from err
        if not success:
            raise GanetiError(f"Ganeti refuses {method}: {result}", hint="see /var/log/ganeti/luxi-daemon.log")
        return result

    def _message(self) -> bytes:
        pieces = [self._rest]
        while _END not in pieces[-1]:
            piece = self._socket.recv(1 << 16)
            if not piece:
                raise OSError("connection closed")
            pieces.append(piece)
        message, _, self._rest = b"".join(pieces).partition(_END)
        return message

    def query(self, what: str, fields: Sequence[str], qfilter: Sequence[object] | None = None) -> list[list[Any]]:
        """The values of *fields* of each ``job``, ``instance``, … that *qfilter* lets through."""
        rows = self.call("Query", [what, list(fields), qfilter])["data"]
        return [[value for _, value in row] for row in rows]

    def run(self, opcode: Mapping[str, object], *, source: str, timeout_s: float) -> Any:
        """Submit a job of one *opcode*, wait for its end, return the opcode's result.

        Ganeti keeps *source*, the name of who asked, as the reason of the job.
        """
        name = opcode["OP_ID"]
        end = time.monotonic() + timeout_s
        job = self.call("SubmitJob", [[{**opcode, "reason": [[source, "", time.time_ns()]]}]])
        known: list[object] | None = None
        while (left := end - time.monotonic()) > 0:
            change = self.call("WaitForJobChange", [job, ["status", "opresult"], known, None, min(left, _CHANGE_S)])
            if change == "nochange":
                continue
            known = change[0]
            status, results = change[0]
            if status == "success":
                return results[0]
            if status in FINAL:
                raise GanetiError(f"Ganeti's job {job} ({name}) ended with {status}", hint=f"see `gnt-job info {job}`")
        raise GanetiError(
            f"Ganeti's job {job} ({name}) did not end within {timeout_s:g} s", hint=f"see `gnt-job info {job}`"
        )
