# SPDX-License-Identifier: BSD-2-Clause
"""LUXI, spoken with a server on a real socket that answers what it was told to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud.errors import GanetiError
from ganeti_cloud.luxi import Luxi

Served = Callable[..., tuple[str, list[Any]]]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """Serves one connection with *answers*, whatever is asked: the socket, and the requests as they come."""
    listener = socket.socket(socket.AF_UNIX)
    path = str(tmp_path / "luxi")
    listener.bind(path)
    listener.listen()
    requests: list[Any] = []
    threads: list[threading.Thread] = []

    def serve(answers: tuple[bytes, ...]) -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as stream:
            for answer in answers:
                text = b""
                while not text.endswith(b"\x03"):
                    text += stream.read(1)
                requests.append(json.loads(text[:-1]))
                for start in range(0, len(answer), 7):  # a message may come in pieces
                    connection.sendall(answer[start : start + 7])

    def served(*answers: object) -> tuple[str, list[Any]]:
        encoded = tuple(each if isinstance(each, bytes) else json.dumps(each).encode() + b"\x03" for each in answers)
        threads.append(threading.Thread(target=serve, args=(encoded,)))
        threads[-1].start()
        return path, requests

    yield served
    for thread in threads:
        thread.join(timeout=10)
    listener.close()


def good(result: object) -> dict[str, object]:
    return {"success": True, "result": result}


def test_a_query_gives_rows_of_values(served: Served) -> None:
    path, requests = served(good({"data": [[[0, 7], [0, "running"]], [[0, 8], [0, "queued"]]], "fields": []}))
    with Luxi(path) as luxi:
        assert luxi.query("job", ["id", "status"], ["=", "status", "running"]) == [[7, "running"], [8, "queued"]]
    assert requests == [{"method": "Query", "args": ["job", ["id", "status"], ["=", "status", "running"]]}]


def test_a_job_is_waited_for(served: Served) -> None:
    path, requests = served(
        good(12), good("nochange"), good([["running", [None]], []]), good([["success", [{"inst1": {}}]], []])
    )
    with Luxi(path) as luxi:
        assert luxi.run({"OP_ID": "OP_X", "static": True}, source="test", timeout_s=60) == {"inst1": {}}
    [opcode] = requests[0]["args"][0]
    [[source, text, when]] = opcode.pop("reason")
    assert (opcode, source, text, when > 1e18) == ({"OP_ID": "OP_X", "static": True}, "test", "", True)
    # What was seen last is told, so that the daemon answers when there is more.
    assert [request["args"][2] for request in requests[1:]] == [None, None, ["running", [None]]]


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([{"success": False, "result": "no such method"}], "Ganeti refuses SubmitJob: no such method"),
        ([b""], "Ganeti's master daemon did not answer SubmitJob (connection closed)"),
        (
            [b"<html>\x03"],
            "Ganeti's master daemon did not answer SubmitJob (Expecting value: line 1 column 1 (char 0))",
        ),
        ([good(3), good([["error", [["OpPrereqError", []]]], []])], "Ganeti's job 3 (OP_X) ended with error"),
    ],
)
def test_what_goes_wrong_is_told(served: Served, answers: list[object], error: str) -> None:
    path, _ = served(*answers)
    with Luxi(path) as luxi, pytest.raises(GanetiError) as caught:
        luxi.run({"OP_ID": "OP_X"}, source="test", timeout_s=60)
    assert str(caught.value) == error


def test_a_job_that_does_not_end(served: Served) -> None:
    path, _ = served(good(3))
    with Luxi(path) as luxi, pytest.raises(GanetiError, match=r"^Ganeti's job 3 \(OP_X\) did not end within 0 s$"):
        luxi.run({"OP_ID": "OP_X"}, source="test", timeout_s=0)


def test_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(GanetiError, match=r"^Ganeti's master daemon cannot be reached at .*/none "):
        Luxi(str(tmp_path / "none"))
