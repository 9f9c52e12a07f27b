# SPDX-License-Identifier: BSD-2-Clause
"""What is left of the taps that a guest has left is taken away, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from kvm_ifup.running import device, releasing, transaction
from kvm_ifup.running import known as known_names
from kvm_ifup.running.locking import locked
from tests.unit.kvm_ifup_node import PORT, Site, no_tap, tap
from tests.unit.netspace import own_network

pytestmark = pytest.mark.host_tools

SECOND = PORT._replace(tap="tap1", nic_index=1, binding=None)
OTHER = PORT._replace(tap="tap2", instance="db1.example.com", binding=None)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Two taps of one guest, and one of another; all of them up."""
    with own_network():
        site = Site(tmp_path)
        for port in (PORT, SECOND, OTHER):
            tap(port.tap)
            transaction.up(site.node, port, {})
        site.told.clear()
        yield site


def known(site: Site) -> list[str]:
    return sorted(path.name for path in site.states.folder.glob("*.json"))


def test_a_guest_that_runs_keeps_its_taps(site: Site) -> None:
    before = site.left()
    assert releasing.release(site.node, PORT.instance) == []
    assert (site.left(), site.told) == (before, [])
    assert device.is_up("tap0") and device.is_up("tap1")


def test_a_guest_that_has_left(site: Site) -> None:
    for name in ("tap0", "tap1", "tap2"):
        no_tap(name)
    assert releasing.release(site.node, PORT.instance) == ["tap0", "tap1"]
    assert known(site) == ["tap2.json"]
    assert {name.partition(".")[0] for name in site.left()} == {"tap2"}
    assert site.told == [f"{each}: web1.example.com has left it; released" for each in ("tap0", "tap1")]


def test_twice_is_as_once(site: Site) -> None:
    no_tap("tap0")
    assert releasing.release(site.node, PORT.instance) == ["tap0"]
    assert releasing.release(site.node, PORT.instance) == []


def test_a_nic_that_was_taken_from_a_guest_that_runs(site: Site) -> None:
    no_tap("tap1")
    assert releasing.release(site.node, PORT.instance) == ["tap1"]
    assert known(site) == ["tap0.json", "tap2.json"]
    assert device.is_up("tap0")


def test_a_tap_of_the_same_name_that_came_since_is_not_touched(site: Site) -> None:
    no_tap("tap0")
    tap("tap3")
    tap("tap0")
    site.node.switch.up(PORT)
    assert releasing.release(site.node, PORT.instance) == ["tap0"]
    assert device.is_up("tap0")


def test_a_name_of_nobody(site: Site) -> None:
    for name in ("nobody.example.com", "", "--help", "../../etc/passwd", "web1"):
        assert releasing.release(site.node, name) == []
    assert len(known(site)) == 3


def test_one_that_fails_stops_no_other_and_stays_for_reconcile(site: Site) -> None:
    for name in ("tap0", "tap1"):
        no_tap(name)
    site.script("ifdown-extra.d", '[ "$INTERFACE" != tap0 ]')
    with pytest.raises(CloudError, match="10-test"):
        releasing.release(site.node, PORT.instance)
    assert known(site) == ["tap0.json", "tap2.json"]


def test_nobody_is_waited_for_where_there_is_nothing_to_do(site: Site) -> None:
    with locked(str(site.states.folder)):
        assert releasing.release(site.node, PORT.instance) == []


def test_the_lock_is_waited_for_only_so_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(releasing, "_WAIT_S", 0.05)
    no_tap("tap0")
    with locked(str(site.states.folder)), pytest.raises(CloudError, match="has been busy"):
        releasing.release(site.node, PORT.instance)


def test_whether_a_guest_is_known(site: Site) -> None:
    folder = str(site.states.folder)
    assert [known_names.is_known(name, folder) for name in (PORT.instance, OTHER.instance, "web2")] == [
        True,
        True,
        False,
    ]
    assert known_names.is_known(PORT.instance, f"{folder}/nowhere") is False
    assert known_names.is_known("\udcff", folder) is False


def test_a_call_without_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert releasing.main(["release"]) == 1
    assert capsys.readouterr().err == (
        "error: release takes the name of one instance\nhint: kvm-ifup release INSTANCE\n"
    )
