# SPDX-License-Identifier: BSD-2-Clause
"""The comparison of DHCP servers, as far as it can be looked at without running it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.dhcp import comparison
from bench.dhcp.arena import GATEWAY, NETWORK, Load, address, mac
from bench.verdict import judge
from ganeti_cloud.process import run
from lab.timeline import Timeline

SOURCES = Path(comparison.__file__).parent


class Place:
    """An arena in which every load is over at once."""

    def load(self, _server: object, _clients: int, *_words: str) -> Load:
        return Load(3.0, 30_000, 0, 1e-4, 2e-4, 1.0, 2.0)


class Server:
    pid = 1


def test_every_contrast_compares_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, list[str]] = defaultdict(list)

    @contextmanager
    def arena(_folder: Path, *, taps: int = 0) -> Iterator[Place]:
        asked["taps"].append(str(taps))
        yield Place()

    @contextmanager
    def served(_place: Place, name: str, _clients: int) -> Iterator[Server]:
        asked["servers"].append(name)
        yield Server()

    def loading(_folder: Path, samples: dict[str, list[float]]) -> None:
        samples["loading: nfdhcpd"].append(0.5)

    monkeypatch.setattr(comparison, "arena", arena)
    monkeypatch.setattr(comparison, "served", served)
    monkeypatch.setattr(comparison, "_loading", loading)
    monkeypatch.setattr(comparison, "build", lambda _folder: None)
    monkeypatch.setattr(comparison, "rss_mib", lambda _pid: 30.0)
    samples = comparison.measure(Timeline())
    verdict = judge("dhcp", comparison.COMPARISON.contrasts, samples)
    assert "ours=10000/s peer=10000/s" in verdict.lines()[0]
    assert set(asked["servers"]) == {"nfdhcpd", "dnsmasq", "Kea", "floor in C"}
    assert set(asked["taps"]) == {"0", "100", "1000"}
    judged = {each.ours for each in comparison.COMPARISON.contrasts if each.at_most is not None}
    assert judged == {
        "unlike: nfdhcpd",
        "taps: unlike: nfdhcpd",
        "taps: alike: nfdhcpd",
        "p99: nfdhcpd",
        "storm: nfdhcpd",
        "memory: nfdhcpd",
        "loading: nfdhcpd",
    }


def test_clients_are_called_as_the_load_makes_them() -> None:
    text = (SOURCES / "load.c").read_text(encoding="utf-8")
    found = re.search(r"mac\[6\] = \{([^}]*)\}", text)
    assert found is not None
    assert found[1] == "0x52, 0x54, 0x10, i >> 16, i >> 8, i"
    assert (mac(0), mac(0x010203)) == ("52:54:10:00:00:00", "52:54:10:01:02:03")
    addresses = {address(number) for number in range(2000)}
    assert (len(addresses), GATEWAY in addresses, addresses <= set(NETWORK.hosts())) == (2000, False, True)


@pytest.mark.host_tools
@pytest.mark.parametrize(("name", "libraries"), [("load", ()), ("floor", ("-lnetfilter_queue",))])
def test_the_programs_in_c_compile_without_a_warning(name: str, libraries: Sequence[str], tmp_path: Path) -> None:
    argv = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / name), str(SOURCES / f"{name}.c")]
    run([*argv, *libraries], timeout_s=60)
    if name == "load":
        assert run(["sh", "-c", f"{tmp_path / name} -n 1; echo $?"], timeout_s=10) == "2\n"
