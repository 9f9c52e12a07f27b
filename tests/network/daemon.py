# SPDX-License-Identifier: BSD-2-Clause
"""Servers on a node: the daemon of this tree, and dnsmasq to try the tests themselves on."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.rooms import STEP_S, Program, wait_for
from tests.network.node import BRIDGE, GATEWAY, SERVER, SUBNET, Guest, Host

TREE = Path(__file__).resolve().parents[2]
SETTINGS = "/etc/ganeti-cloud/nfdhcpd.toml"
NFDHCPD = [sys.executable, str(TREE / "nfdhcpd/scripts/nfdhcpd")]
# No guest of a test may be slowed down by chance; those of limits set their own.
QUICK: dict[str, dict[str, object]] = {"limits": {"packets_per_second": 1000, "burst": 1000}}


class Daemon:
    """nfdhcpd of this tree on a node, with its rules."""

    def __init__(self, host: Host) -> None:
        self._host, self._notices = host, _Notices(host.room.root / "run/notify")
        host.on_exit(self._notices.close)
        self.program: Program | None = None
        self.configure()

    def configure(self, **sections: Mapping[str, object]) -> None:
        """Write the settings: what every test has, and *sections* over it."""
        usual: dict[str, dict[str, object]] = {"dhcp4": {"server_address": SERVER}, **QUICK}
        for name, section in sections.items():
            usual[name] = {**usual.get(name, {}), **section}
        lines = []
        for name, section in usual.items():
            # What JSON calls these values TOML calls them, too.
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items())]
        self._host.room.write(SETTINGS, "\n".join(lines) + "\n")

    def start(self) -> None:
        """Put up the rules, start it, and wait until it says that it is ready."""
        self.call("rules", "apply")
        environment = ["NOTIFY_SOCKET=/run/notify", f"PYTHONPATH={TREE}", "PYTHONDONTWRITEBYTECODE=1"]
        self.program = self._host.room.start([*NFDHCPD, "run"], environment=environment)
        self.notified("READY=1")

    def call(self, *words: str) -> str:
        """A command of its CLI on the node, which must succeed; its stdout."""
        return self._host.room.run(["env", f"PYTHONPATH={TREE}", "PYTHONDONTWRITEBYTECODE=1", *NFDHCPD, *words])

    def leases(self) -> Any:
        """What ``nfdhcpd leases --json`` shows."""
        return json.loads(self.call("leases", "--json"))

    def notified(self, wanted: str, timeout_s: float = STEP_S) -> None:
        """Wait until it tells systemd *wanted*."""

        def look() -> bool:
            assert self.program and self.program.running, f"the daemon ended: {self.said}"
            return wanted in self._notices.read()

        try:
            wait_for(wanted, look, timeout_s)
        except AssertionError as err:
            raise AssertionError(f"{err}; it said: {self.said}") from None

    @property
    def said(self) -> str:
        return self.program.said if self.program else ""

    def awaits(self, text: str, timeout_s: float = STEP_S) -> None:
        """Wait until *text* is in its journal."""
        try:
            wait_for(f"{text!r} in the journal", lambda: text in self.said, timeout_s)
        except AssertionError as err:
            raise AssertionError(f"{err}: {self.said}") from None

    def reload(self) -> None:
        assert self.program
        self._notices.forget()
        self.program.send(signal.SIGHUP)
        self.notified("READY=1")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it; its rules stay, as they do when it crashes."""
        assert self.program
        self._notices.forget()
        self.program.stop(number)

    @contextmanager
    def hung(self) -> Iterator[None]:
        """Within the block it does nothing, and all that it has open stays open."""
        assert self.program
        self.program.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.program.send(signal.SIGCONT)

    def counts(self) -> dict[str, int]:
        """Packets by what became of them, ``protocol outcome``, as its metrics tell."""
        text = _get(self._host.room.root / "run/nfdhcpd/http.sock", "/metrics")
        return {name: int(float(value)) for name, value in _counters(text)}

    def awaits_count(self, name: str, least: int = 1) -> None:
        """Wait until at least so many packets became what *name* says, as :meth:`counts` calls it."""
        wait_for(f"{least} of {name}", lambda: self.counts()[name] >= least, every_s=0.1)

    def cpu_s(self) -> float:
        """How long it has worked."""
        assert self.program
        fields = Path(f"/proc/{self.program.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # proc(5): utime and stime

    def rss_kib(self) -> int:
        """How much memory it has."""
        assert self.program
        status = Path(f"/proc/{self.program.pid}/status").read_text(encoding="utf-8")
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1])


class _Notices:
    """What systemd would be told (sd_notify(3))."""

    def __init__(self, path: Path) -> None:
        self._told = ""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))
        path.chmod(0o666)

    def read(self) -> str:
        while True:
            try:
                self._told += self._socket.recv(4096).decode() + "\n"
            except BlockingIOError:
                return self._told

    def forget(self) -> None:
        self.read()
        self._told = ""

    def close(self) -> None:
        self._socket.close()


def _get(path: Path, what: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(STEP_S)
        client.connect(str(path))
        client.sendall(f"GET {what} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0], head
    return body.decode()


def _counters(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        if name.startswith("nfdhcpd_packets_total{"):
            labels = dict(pair.split("=") for pair in name.partition("{")[2].rstrip("}").split(","))
            yield f"{labels['protocol']} {labels['outcome']}".replace('"', ""), value


@contextmanager
def dnsmasq(host: Host, guest: Guest, *more: str) -> Iterator[Program]:
    """dnsmasq leases its address to *guest* for 200 s, with the server in the guest's network."""
    device = BRIDGE if (host.room.root / f"sys/class/net/{guest.tap}/brport").exists() else guest.tap
    host.room.ip(f"address add {SUBNET[2]}/24 dev {device}")
    argv = ["dnsmasq", "-k", "-C", "/dev/null", "--port=0", f"--interface={device}", "--bind-interfaces", "--no-ping"]
    argv += ["--dhcp-authoritative", "--leasefile-ro", "--user=root", "--log-dhcp", "--log-facility=-", "--pid-file="]
    argv += [f"--dhcp-range={guest.address},{guest.address},255.255.255.0,200"]
    argv += [f"--dhcp-host={guest.mac},{guest.address},vm0", f"--dhcp-option=3,{GATEWAY}", *more]
    program = host.room.start(argv)
    wait_for("dnsmasq", lambda: "IP range" in program.said)
    yield program
    program.stop()
