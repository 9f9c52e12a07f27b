# SPDX-License-Identifier: BSD-2-Clause
"""Whom the daemon serves, over time: other settings, and a kernel that does not tell all."""

from __future__ import annotations

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_cloud.binding import encode
from ganeti_cloud.daemon.outlet import Outlet
from ganeti_cloud.errors import CloudError
from nfdhcpd.guests import links
from nfdhcpd.guests.known import Guests
from nfdhcpd.settings import Settings
from tests.unit.netspace import own_network
from tests.unit.nfdhcpd_daemon import SITE, binding

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are for root"),
]

_MANY = 60


@pytest.fixture(scope="module")
def network() -> Iterator[None]:
    with own_network():
        lines = "".join(f"tuntap add tap{number} mode tap\n" for number in range(_MANY))
        subprocess.run(["ip", "-batch", "-"], input=lines, text=True, check=True, timeout=60)
        yield


def settled(folder: Path, *, lease_time: int = 7200) -> Settings:
    """Settings with this lease time, and all places in *folder*."""
    dhcp4 = SITE.dhcp4._replace(lease_time=lease_time)
    service = SITE.service._replace(bindings=str(folder / "bindings"), state=str(folder))
    return SITE._replace(dhcp4=dhcp4, service=service)


@pytest.fixture
def guests(network: None, tmp_path: Path) -> Iterator[Guests]:
    (tmp_path / "bindings").mkdir()
    for number in range(_MANY):
        (tmp_path / f"bindings/tap{number}").write_text(encode(binding(number)), encoding="utf-8")
    with (tmp_path / "journal").open("wb") as journal:
        found = Guests(settled(tmp_path), Outlet(journal.fileno(), prefixed=False))
        yield found
        found.close()


def test_other_settings_are_told_to_some_taps_at_a_time(
    guests: Guests, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[str] = []
    guests.load(lambda tap, now: begun.append(tap.name))
    before = {name: tap.dhcp4 for name, tap in guests.taps.by_name.items()}
    begun.clear()
    caplog.set_level(logging.INFO)
    guests.change(settled(tmp_path, lease_time=9000))
    changed = []
    while guests.folder.is_busy:
        assert (begun, caplog.messages) == ([], [])
        guests.on_files()
        changed.append(sum(tap.dhcp4 is not before[name] for name, tap in guests.taps.by_name.items()))
    assert (changed[0] < 20, changed[-1]) == (True, _MANY)
    # All are told anew what is new, once each.
    assert sorted(begun) == sorted(before)
    assert caplog.messages == [f"the settings are new; taps served: {_MANY}"]


def test_a_kernel_that_could_not_tell_is_asked_again(
    guests: Guests, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    guests.load(lambda tap, now: None)
    subprocess.run(["ip", "link", "delete", "tap3"], check=True, timeout=30)
    guests.links._drain()
    guests.links._has_lost = True
    with monkeypatch.context() as while_it_lasts:
        while_it_lasts.setattr(links, "_asked", _refusing)
        for second in range(3):
            guests.tick(float(second), 0)
    assert caplog.messages == ["rtnetlink: no memory"]
    assert guests.taps.by_name["tap3"].index
    guests.tick(4.0, 0)
    assert not guests.taps.by_name["tap3"].index
    assert len(guests.taps.by_index) == _MANY - 1


def _refusing() -> object:
    raise CloudError("rtnetlink: no memory")
