# SPDX-License-Identifier: BSD-2-Clause
"""Pages by HTTP: whoever asks, however slowly, and whatever, nobody waits for it."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ganeti_cloud.daemon.http import Page, Server, answer
from ganeti_cloud.daemon.metrics import CONTENT_TYPE, Family, text
from ganeti_cloud.errors import CloudError

PAGES = {
    "/metrics": Page("text/plain", lambda: iter(["a 1\n", "b 2\n"])),
    "/big": Page("text/plain", lambda: iter(["x" * 100_000] * 20)),
}


class Running:
    """A server and what drives it: :meth:`turn` is one round of the daemon."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.selector = selectors.DefaultSelector()
        self.server = Server(path, PAGES, self.selector)

    def turn(self, wait: float = 0.0) -> int:
        ready = self.selector.select(wait)
        for key, _ in ready:
            key.data()
        return len(ready)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(5)
        client.connect(self.path)
        return client

    def ask(self, request: bytes) -> bytes:
        with self.connect() as client:
            client.sendall(request)
            client.setblocking(False)
            got, end = b"", time.monotonic() + 5
            while time.monotonic() < end:
                self.turn()
                try:
                    data = client.recv(1 << 16)
                except BlockingIOError:
                    continue
                if not data:
                    return got
                got += data
        raise AssertionError(f"no end after {got!r}")


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    found = Running(str(tmp_path / "http.sock"))
    yield found
    found.server.close()
    found.selector.close()


def test_a_page_is_served(running: Running) -> None:
    wanted = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\na 1\nb 2\n"
    assert running.ask(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n") == wanted
    assert running.ask(b"GET /metrics?x=1 HTTP/1.0\r\n\r\n") == wanted
    assert running.ask(b"HEAD /metrics HTTP/1.1\r\n\r\n") == wanted.partition(b"a 1")[0]


@pytest.mark.parametrize(
    ("request_", "status", "body"),
    [
        (b"GET /nothing HTTP/1.1\r\n\r\n", "404 Not Found", "there are /big, /metrics\n"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed", "there is only GET here\n"),
        (b"GET /metrics HTTP/2\r\n\r\n", "400 Bad Request", "this is no request of HTTP/1\n"),
        (b"\xff\xfe\r\n\r\n", "400 Bad Request", "this is no request of HTTP/1\n"),
    ],
)
def test_other_requests_are_told_why_not(request_: bytes, status: str, body: str) -> None:
    [text] = answer(request_, PAGES)
    assert text.startswith(f"HTTP/1.1 {status}\r\n")
    assert text.endswith(f"\r\n\r\n{body}")


def test_a_large_page_does_not_wait_for_its_reader(running: Running) -> None:
    with running.connect() as slow:
        slow.sendall(b"GET /big HTTP/1.1\r\n\r\n")
        for _ in range(50):
            running.turn()
        assert running.ask(b"GET /metrics HTTP/1.1\r\n\r\n").endswith(b"b 2\n")
    assert len(running.ask(b"GET /big HTTP/1.1\r\n\r\n").partition(b"\r\n\r\n")[2]) == 2_000_000


def test_who_does_not_go_on_is_dropped(running: Running) -> None:
    with running.connect() as silent, running.connect() as slow:
        slow.sendall(b"GET /met")
        for _ in range(4):
            running.turn()
        running.server.tick(time.monotonic() + 4)
        assert running.ask(b"GET /metrics HTTP/1.1\r\n\r\n") != b""
        running.server.tick(time.monotonic() + 6)
        assert (silent.recv(10), slow.recv(10)) == (b"", b"")


def test_no_more_clients_than_there_is_room_for(running: Running) -> None:
    clients = []
    for _ in range(9):
        clients.append(running.connect())
        running.turn()
    clients[8].settimeout(5)
    assert clients[8].recv(10) == b""
    clients[0].sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
    for _ in range(5):
        running.turn()
    assert clients[0].recv(4096).startswith(b"HTTP/1.1 200 OK")
    for client in clients:
        client.close()


@pytest.mark.parametrize("data", [b"x" * 5000, b""], ids=["too much", "nothing"])
def test_what_is_no_request_is_dropped(running: Running, data: bytes) -> None:
    with running.connect() as client:
        client.sendall(data)
        if not data:
            client.shutdown(socket.SHUT_WR)
        for _ in range(5):
            running.turn()
        try:
            assert client.recv(10) == b""
        except ConnectionResetError:
            pass  # it had not read everything
        assert running.ask(b"GET /metrics HTTP/1.1\r\n\r\n") != b""


def test_a_client_that_goes_away_is_no_fault(running: Running) -> None:
    client = running.connect()
    client.sendall(b"GET /big HTTP/1.1\r\n\r\n")
    running.turn()
    running.turn()
    client.close()
    for _ in range(50):
        running.turn()
    assert running.turn() == 0


def test_the_socket_is_for_the_group_and_replaces_one_that_is_left_over(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(path))
    running = Running(str(path))
    assert path.stat().st_mode & 0o777 == 0o660
    running.server.close()
    running.selector.close()
    assert not path.exists()


def test_nothing_but_a_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("x", encoding="utf-8")
    with selectors.DefaultSelector() as selector, pytest.raises(CloudError) as raised:
        Server(str(path), PAGES, selector)
    assert str(raised.value) == f"nobody can be listened to at {path}: Address already in use"
    assert raised.value.hint == "set listen in section [service]"
    assert path.read_text(encoding="utf-8") == "x"


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", socket.AF_INET), ("[::1]", socket.AF_INET6)])
def test_a_port_of_the_loopback(host: str, family: int) -> None:
    with socket.socket(family) as probe:
        probe.bind((host.strip("[]"), 0))
        port = probe.getsockname()[1]
    with selectors.DefaultSelector() as selector:
        server = Server(f"{host}:{port}", PAGES, selector)
        [key] = selector.get_map().values()
        assert isinstance(key.fileobj, socket.socket)
        assert key.fileobj.getsockname()[:2] == (host.strip("[]"), port)
        server.close()


def test_prometheus_reads_the_counters() -> None:
    families = [
        Family("a_total", "counter", "What.", [({"protocol": "dhcp4", "outcome": "ack"}, 12345678901.0), ({}, 0.5)]),
        Family("b", "gauge", "How many.", [({}, 3.0)]),
        Family("c_total", "counter", "None yet.", []),
    ]
    read: Callable[[str], Iterable[Any]] = text_string_to_metric_families  # it has no types
    found = {each.name: each for each in read("".join(text(families)))}
    assert {(each.name, each.type, each.documentation) for each in found.values()} == {
        ("a", "counter", "What."),
        ("b", "gauge", "How many."),
        ("c", "counter", "None yet."),
    }
    samples = [(each.labels, each.value) for each in found["a"].samples]
    assert samples == [({"protocol": "dhcp4", "outcome": "ack"}, 12345678901.0), ({}, 0.5)]
    assert CONTENT_TYPE == "text/plain; version=0.0.4"
