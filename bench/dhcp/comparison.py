# SPDX-License-Identifier: BSD-2-Clause
"""What a server of DHCPv4 does in a second, how long a client waits, how a node comes up with all its guests, and what
that takes of memory.
"""

from __future__ import annotations

import socket
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.comparison import LocalComparison
from bench.dhcp import servers
from bench.dhcp.arena import Load, arena, build, rss_mib
from bench.dhcp.servers import served
from bench.verdict import Contrast, Samples, mebibytes, microseconds, milliseconds, rate
from ganeti_cloud.errors import CloudError
from lab.timeline import Timeline

_PEERS = ("dnsmasq", "Kea")
_OTHERS = (*_PEERS, "floor in C")
_EVERY = ("nfdhcpd", *_OTHERS)

_ROUNDS = 3
_CLIENTS, _STORM, _BINDINGS = 100, 1000, 2000
_SATURATED = ["-w", "32", "-d", "3"]
_CALM = ["-r", "1000", "-d", "3"]
_START_S = 30.0

# What the predecessor of ours (snf-nfdhcpd 0.16 on Python 3.11) reached on such a machine, with 32 exchanges at once.
_PREDECESSOR = 1 / 642


def measure(timeline: Timeline) -> Samples:
    """All of it, some minutes."""
    samples: dict[str, list[float]] = defaultdict(list)
    samples["predecessor"] = [_PREDECESSOR]
    samples["goal: storm"], samples["goal: memory"], samples["goal: loading"] = [0.05], [60.0], [1.0]
    # Not below a folder of one user: the daemon is another one.
    with tempfile.TemporaryDirectory(prefix="bench-dhcp-", dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        build(folder)
        for number in range(_ROUNDS):
            order = _EVERY if number % 2 == 0 else _EVERY[::-1]
            with timeline.step(f"dhcp: round {number + 1} of {_ROUNDS} on one link"):
                for who in order:
                    _on_one_link(who, folder, samples, timeline)
            with timeline.step(f"dhcp: round {number + 1} of {_ROUNDS} on taps"):
                for who in ("nfdhcpd", "floor in C"):
                    _on_taps(who, folder, samples, timeline)
        with timeline.step("dhcp: storms"):
            _storms(folder, samples, timeline)
        with timeline.step("dhcp: loading"):
            _loading(folder, samples)
    return samples


def _on_one_link(who: str, folder: Path, samples: dict[str, list[float]], timeline: Timeline) -> None:
    with arena(folder) as place, served(place, who, _CLIENTS) as server:
        for kind, words in (("alike", []), ("unlike", ["-u"])):
            load = place.load(server, _CLIENTS, *_SATURATED, *words)
            _note(f"one link, {kind}", who, load, timeline)
            samples[f"{kind}: {who}"].append(load.seconds_each)
            samples[f"processor: {kind}: {who}"].append(load.server_cpu_s / load.done)
        load = place.load(server, _CLIENTS, *_CALM, "-u")
        _note("one link, 1000/s", who, load, timeline)
        samples[f"p50: {who}"].append(load.p50_s)
        samples[f"p99: {who}"].append(load.p99_s)


def _on_taps(who: str, folder: Path, samples: dict[str, list[float]], timeline: Timeline) -> None:
    with arena(folder, taps=_CLIENTS) as place, served(place, who, _CLIENTS) as server:
        for kind, words in (("alike", []), ("unlike", ["-u"])):
            load = place.load(server, _CLIENTS, *_SATURATED, *words)
            _note(f"taps, {kind}", who, load, timeline)
            samples[f"taps: {kind}: {who}"].append(load.seconds_each)
            samples[f"processor on taps: {kind}: {who}"].append(load.server_cpu_s / load.done)


def _storms(folder: Path, samples: dict[str, list[float]], timeline: Timeline) -> None:
    """All guests of a node begin at once: ours on a tap each, the peers on a link for all."""
    with arena(folder, taps=_STORM) as place:
        for _ in range(_ROUNDS):
            # Started anew, so that nothing is remembered from the storm before.
            with served(place, "nfdhcpd", _STORM) as server:
                load = place.load(server, _STORM, "-s", "-d", "10")
                _note("storm", "nfdhcpd", load, timeline)
                samples["storm: nfdhcpd"].append(load.seconds)
                samples["memory: nfdhcpd"].append(rss_mib(server.pid))
    for who in _PEERS:
        with arena(folder) as place, served(place, who, _STORM) as server:
            load = place.load(server, _STORM, "-s", "-d", "20")
            _note("storm", who, load, timeline)
            samples[f"storm: {who}"].append(load.seconds)


def _loading(folder: Path, samples: dict[str, list[float]]) -> None:
    """From the start to the word that it is ready, less what that takes without bindings."""
    with arena(folder, taps=_BINDINGS) as place:
        for _ in range(_ROUNDS):
            took = []
            for bindings in (0, _BINDINGS):
                servers.bind(place, bindings)
                with _notices(folder) as notices:
                    begin = time.monotonic()
                    argv = [*servers.NFDHCPD, "run"]
                    environment = [*servers.ENVIRONMENT, f"NOTIFY_SOCKET={folder / 'notify'}"]
                    server = place.serve(argv, environment=environment)
                    told = notices.recv(4096)
                    took.append(time.monotonic() - begin)
                if b"READY=1" not in told:
                    raise CloudError(f"{server.shown}: it says {told!r} before it is ready")
                server.stop()
            samples["loading: nfdhcpd"].append(took[1] - took[0])


@contextmanager
def _notices(folder: Path) -> Iterator[socket.socket]:
    """What systemd would be told (sd_notify(3))."""
    path = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(path))
        path.chmod(0o666)
        notices.settimeout(_START_S)
        try:
            yield notices
        finally:
            path.unlink()


def _note(where: str, who: str, load: Load, timeline: Timeline) -> None:
    timeline.note(
        f"{where}: {who}: {load.done / load.seconds:.0f}/s, {load.lost} lost, p50 {microseconds(load.p50_s)}, "
        f"p99 {microseconds(load.p99_s)}, processor {microseconds(load.server_cpu_s / load.done)} each, "
        f"load {load.cpu_s / load.seconds:.0%} of its own"
    )


def _contrasts() -> Iterator[Contrast]:
    goals = {"dnsmasq": 0.5, "Kea": 0.5, "floor in C": 2.5}
    for kind in ("unlike", "alike"):
        for peer in _OTHERS:
            # Alike or not, ours remembers nothing of them: behind one link all are the same guest to it.
            goal = goals[peer] if kind == "unlike" else None
            what = f"leases on one link, requests {kind}: ours against {peer}"
            yield Contrast(what, f"{kind}: nfdhcpd", f"{kind}: {peer}", goal, rate)
    for kind in ("unlike", "alike"):
        for peer in _PEERS:
            what = f"leases, requests {kind}: ours on 100 taps against {peer} on one link"
            yield Contrast(what, f"taps: {kind}: nfdhcpd", f"{kind}: {peer}", goals[peer], rate)
        what = f"leases on 100 taps, requests {kind}: ours against floor in C"
        yield Contrast(what, f"taps: {kind}: nfdhcpd", f"taps: {kind}: floor in C", goals["floor in C"], rate)
        what = f"leases on 100 taps, requests {kind}: ours against the predecessor"
        yield Contrast(what, f"taps: {kind}: nfdhcpd", "predecessor", 1 / 50, rate)
    for kind in ("unlike", "alike"):
        for peer in _OTHERS:
            what = f"processor for a lease, requests {kind}: ours on 100 taps against {peer} on one link"
            yield Contrast(
                what, f"processor on taps: {kind}: nfdhcpd", f"processor: {kind}: {peer}", None, microseconds
            )
    for part in ("p50", "p99"):
        for peer in _OTHERS:
            goal = 1.0 if part == "p99" and peer in _PEERS else None
            what = f"{part} of the wait at 1,000 leases a second: ours against {peer}"
            yield Contrast(what, f"{part}: nfdhcpd", f"{part}: {peer}", goal, microseconds)
    storm = "1,000 guests at once: the last lease"
    yield Contrast(f"{storm}, against the goal", "storm: nfdhcpd", "goal: storm", 1.0, milliseconds)
    for peer in _PEERS:
        yield Contrast(f"{storm}, against {peer}", "storm: nfdhcpd", f"storm: {peer}", None, milliseconds)
    yield Contrast("memory with 1,000 bindings", "memory: nfdhcpd", "goal: memory", 1.0, mebibytes)
    yield Contrast("loading 2,000 bindings", "loading: nfdhcpd", "goal: loading", 1.0, milliseconds)


COMPARISON = LocalComparison(
    name="dhcp",
    about="addresses by DHCPv4 against dnsmasq, Kea, and the least over libnetfilter_queue in C",
    measure=measure,
    contrasts=list(_contrasts()),
    packages=("dnsmasq-base", "kea-dhcp4-server", "libnetfilter-queue1"),
)
