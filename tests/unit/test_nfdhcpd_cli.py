# SPDX-License-Identifier: BSD-2-Clause
"""The program `nfdhcpd`."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import click
import pytest

# Loaded before the network is fenced off: it has the system read an address.
import scapy.layers.dhcp  # noqa: F401

from nfdhcpd import cli as program
from nfdhcpd.guests import leases
from tests.unit.nfdhcpd_daemon import binding, taps

Called = Callable[..., tuple[int, str, str]]

BINDING = "INDEV=tap0\nIP=192.0.2.16\nMAC=52:54:10:00:00:01\nHOSTNAME=vm0\nSUBNET=192.0.2.0/24\nGATEWAY=192.0.2.1\n"
BINDING6 = "SUBNET6=2001:db8::/64\nGATEWAY6=2001:db8::1\n"


@pytest.fixture
def nfdhcpd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Called:
    (tmp_path / "tap0").write_text(BINDING, encoding="utf-8")
    text = f"[ipv6]\nduid = '000400'\n[service]\nbindings = '{tmp_path}'\nlisten = '{tmp_path}/http.sock'\n"
    (tmp_path / "c.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["nfdhcpd", *words])
        return program.main(), *capfd.readouterr()

    return call


def commands(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(command, click.Group):
        return [words]
    return [path for name, inner in command.commands.items() for path in commands(inner, (*words, name))]


@pytest.mark.parametrize("words", commands(program.cli), ids=" ".join)
def test_help_shows_examples(nfdhcpd: Called, words: tuple[str, ...]) -> None:
    status, out, err = nfdhcpd(*words, "--help")
    assert (status, err) == (0, "")
    examples = out.partition("Examples:\n")[2]
    assert f"nfdhcpd {' '.join(words)}" in examples or "systemctl start nfdhcpd" in examples


def test_the_configuration_is_checked_and_printed(nfdhcpd: Called) -> None:
    status, out, _ = nfdhcpd("check-config", "--config", "c.toml")
    assert status == 0
    assert {"dhcp4.queue = 42", "ipv6.duid = 00:04:00", "limits.burst = 200"} <= set(out.splitlines())
    assert nfdhcpd("run", "--check-config", "--config", "c.toml") == (0, out, "")
    status, out, _ = nfdhcpd("check-config", "--sample")
    assert (status, out.startswith("[dhcp4]\n")) == (0, True)


@pytest.mark.parametrize(
    "words", [("check-config",), ("run", "--check-config"), ("run",), ("leases",), ("answers", "x")]
)
def test_a_mistake_in_the_configuration_is_two_lines(nfdhcpd: Called, words: tuple[str, ...]) -> None:
    Path("c.toml").write_text("[dhcp5]\n", encoding="utf-8")
    wanted = "error: c.toml: [dhcp5]: no such section\nhint: correct the file; nfdhcpd.toml(5) describes its keys\n"
    assert nfdhcpd(*words, "--config", "c.toml") == (1, "", wanted)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("leases", "--xml"), "error: No such option"),
        (("answers",), "error: Missing argument 'TAP|FILE'"),
        (("nothing",), "error: No such command 'nothing'"),
    ],
)
def test_a_mistake_in_the_command_line_is_two_lines(nfdhcpd: Called, words: tuple[str, ...], problem: str) -> None:
    status, _, err = nfdhcpd(*words)
    assert (status, err.startswith(problem)) == (2, True)
    assert err.splitlines()[1].startswith("hint: see nfdhcpd")


class Daemon:
    """Answers once, at the socket *path*."""

    def __init__(self, path: Path, said: bytes) -> None:
        self._said = said
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self.asked = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            self.asked = connection.recv(4096)
            connection.sendall(self._said)
        self._listener.close()

    def end(self) -> None:
        self._thread.join(10)


def page(status: str, body: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{body}".encode()


def test_leases_are_a_table_or_json(nfdhcpd: Called, tmp_path: Path) -> None:
    text = "".join(leases.pieces(list(taps(binding(0), binding(1)).by_index.values()), 0.0))
    for words, wanted in (((), "TAP  MAC               ADDRESS    HOSTNAME        LAST"), (("--json",), "[")):
        daemon = Daemon(tmp_path / "http.sock", page("200 OK", text))
        status, out, err = nfdhcpd("leases", "--config", "c.toml", *words)
        daemon.end()
        assert (status, err, out.splitlines()[0]) == (0, "", wanted)
        assert daemon.asked.startswith(b"GET /leases HTTP/1.1\r\n")
        (tmp_path / "http.sock").unlink()
    assert [row["tap"] for row in json.loads(out)] == ["tap0", "tap1"]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (None, "[Errno 2] No such file or directory"),
        (b"", "Remote end closed connection without response"),
        (page("404 Not Found", "no"), "404"),
    ],
    ids=["nobody", "nothing", "refused"],
)
def test_a_daemon_that_does_not_answer_is_told_of(
    nfdhcpd: Called, tmp_path: Path, said: bytes | None, reason: str
) -> None:
    daemon = None if said is None else Daemon(tmp_path / "http.sock", said)
    status, _, err = nfdhcpd("leases", "--config", "c.toml")
    if daemon is not None:
        daemon.end()
    wanted = f"error: the daemon does not answer at {tmp_path}/http.sock: {reason}\nhint: systemctl status nfdhcpd\n"
    assert (status, err) == (1, wanted)


def test_a_daemon_that_tells_nobody_cannot_be_asked(nfdhcpd: Called) -> None:
    Path("c.toml").write_text("[ipv6]\nduid = '000400'\n[service]\nlisten = ''\n", encoding="utf-8")
    wanted = "error: the daemon tells nobody\nhint: set listen in section [service] of c.toml\n"
    assert nfdhcpd("leases", "--config", "c.toml") == (1, "", wanted)


@pytest.mark.parametrize("tap", ["tap0", "./tap0"])
def test_what_a_guest_would_be_told(nfdhcpd: Called, tap: str) -> None:
    status, out, err = nfdhcpd("answers", "--config", "c.toml", tap)
    assert (status, err) == (0, "")
    assert out.startswith("tap0: vm0, MAC 52:54:10:00:00:01, answers from 02:00:00:00:00:01, as tap0 is not here\n")
    told = [line for line in out.splitlines() if line and not line.startswith(" ")][1:]
    nothing = "no answer: the binding or the settings have nothing of it"
    assert told == [
        "DHCPDISCOVER: dhcp4 offer",
        "DHCPREQUEST: dhcp4 ack",
        f"router solicitation: {nothing}",
        f"DHCPv6 solicit: {nothing}",
        f"DHCPv6 information request: {nothing}",
    ]
    assert "yiaddr    = 192.0.2.16" in out
    assert "router=192.0.2.1" in out


def test_what_a_guest_with_ipv6_would_be_told(nfdhcpd: Called) -> None:
    Path("tap0").write_text(BINDING + BINDING6, encoding="utf-8")
    text = Path("c.toml").read_text(encoding="utf-8").replace("[ipv6]", "[ipv6]\nmode = 'dhcpv6'")
    Path("c.toml").write_text(text, encoding="utf-8")
    status, out, _ = nfdhcpd("answers", "--config", "c.toml", "tap0")
    told = [line for line in out.splitlines() if line and not line.startswith(" ")][3:]
    assert (status, told) == (
        0,
        [
            "router solicitation: rs advertised",
            "neighbour solicitation for 2001:db8::1: ns advertised",
            "DHCPv6 solicit: dhcp6 advertise",
            "DHCPv6 information request: dhcp6 reply information",
        ],
    )
    assert "prefix    = 2001:db8::" in out
    assert "addr      = 2001:db8::5054:10ff:fe00:1" in out


@pytest.mark.parametrize(
    ("tap", "problem"),
    [("tap1", "there is no binding {}/tap1"), ("./bad", "binding bad, line 1: ")],
)
def test_a_binding_that_cannot_be_used_is_told(nfdhcpd: Called, tmp_path: Path, tap: str, problem: str) -> None:
    Path("bad").write_text("IP=x\n", encoding="utf-8")
    status, _, err = nfdhcpd("answers", "--config", "c.toml", tap)
    assert (status, err.startswith(f"error: {problem.format(tmp_path)}")) == (1, True)


def test_without_scapy_the_rest_works(nfdhcpd: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scapy.error", None)
    wanted = "error: scapy is not installed\nhint: apt install python3-scapy\n"
    assert nfdhcpd("answers", "--config", "c.toml", "tap0") == (1, "", wanted)
