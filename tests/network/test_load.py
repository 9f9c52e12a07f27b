# SPDX-License-Identifier: BSD-2-Clause
"""The load of the benchmark, against a server that is known to be good and keeps a log of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.dhcp.arena import arena, build
from bench.dhcp.servers import served

# On a machine with other work.
_PATIENCE_S = 20
_PATIENT = ("-T", str(_PATIENCE_S * 1000))


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["-w", "4", "-d", "0.5", *_PATIENT], id="closed loop"),
        pytest.param(["-r", "50", "-d", "1", *_PATIENT], id="open loop"),
        pytest.param(["-s", "-d", "10", "-u"], id="storm"),
    ],
)
def test_every_lease_is_counted(words: Sequence[str], tmp_path: Path) -> None:
    build(tmp_path)
    with arena(tmp_path) as place, served(place, "dnsmasq", 20) as server:
        log = place.node.root / "run/dnsmasq.log"
        before = log.read_text(encoding="utf-8").count("DHCPACK")
        load = place.load(server, 20, *words)
        acknowledged = log.read_text(encoding="utf-8").count("DHCPACK") - before
        leases = (place.node.root / "run/dnsmasq.leases").read_text(encoding="utf-8")
    assert (load.done, load.lost) == (acknowledged, 0)
    assert 0 < load.p50_s <= load.p99_s < _PATIENCE_S
    assert load.server_cpu_s > 0
    match words[0]:
        case "-r":
            # What was to begin while the load had no processor begins late, or after the end.
            assert 10 < load.done <= 50
        case "-s":
            assert (load.done, len(leases.splitlines())) == (20, 20)
