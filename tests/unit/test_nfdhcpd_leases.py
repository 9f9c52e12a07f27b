# SPDX-License-Identifier: BSD-2-Clause
"""What is known of guests: told in pieces, kept over a restart, shown to people."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from nfdhcpd.guests import leases
from nfdhcpd.guests.leases import Keeper
from nfdhcpd.guests.taps import Tap
from nfdhcpd.packets import protocols
from tests.unit.nfdhcpd_daemon import binding, taps

[ACK] = [each for each in protocols.OUTCOMES if (each.protocol, each.name) == ("dhcp4", "ack")]
[OFFER] = [each for each in protocols.OUTCOMES if (each.protocol, each.name) == ("dhcp4", "offer")]


def some(count: int) -> list[Tap]:
    return list(taps(*(binding(number) for number in range(count))).by_index.values())


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_the_pieces_are_one_json_document(count: int) -> None:
    pieces = list(leases.pieces(some(count), 0.0))
    rows = json.loads("".join(pieces))
    assert [row["tap"] for row in rows] == [f"tap{number}" for number in range(count)]
    assert len(pieces) == (count + 31) // 32 + 1


def test_a_tap_is_described_with_times_of_day() -> None:
    [tap] = some(1)
    tap.seen[ACK] = 12.5
    assert leases.described(tap, 1000.0) == {
        "tap": "tap0",
        "mac": "52:54:10:00:00:01",
        "hostname": "vm0.example.com",
        "ip": "192.0.2.16",
        "ip6": "2001:db8::5054:10ff:fe00:1",
        "subnet6": "2001:db8::/64",
        "seen": {"dhcp4 ack": 1012.5},
    }


def test_the_table_is_by_number_and_tells_what_was_last() -> None:
    rows = [leases.described(tap, 1000.0) for tap in some(11)]
    rows[10]["seen"] = {"dhcp4 offer": 990.0, "dhcp4 ack_rapid_commit": 1000.0}
    rows[2] |= {"ip": None, "ip6": None, "seen": {"rs advertised": 1000.0 - 86400 * 3}}
    table = leases.table(rows, 1005.0)
    assert table[0] == "TAP   MAC               ADDRESS       HOSTNAME         LAST"
    assert [line.split()[0] for line in table[1:]] == [f"tap{number}" for number in range(11)]
    assert table[11].endswith(" vm10.example.com dhcp4 ack rapid commit 5 s ago")
    assert table[3] == "tap2  52:54:10:00:00:03 2001:db8::/64 vm2.example.com  rs advertised 3 d ago"
    assert table[1].endswith(" -")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7200, "2 h ago"),
        (172799, "47 h ago"),
        (1e6, "11 d ago"),
    ],
)
def test_times_are_told_as_people_do(seconds: float, told: str) -> None:
    row = leases.described(some(1)[0], 0.0) | {"seen": {"dhcp4 ack": 0.0}}
    assert leases.table([row], seconds)[1].endswith(f" dhcp4 ack {told}")


def test_a_restart_knows_what_was_seen(tmp_path: Path) -> None:
    before = some(2)
    before[0].seen.update({OFFER: 5.0, ACK: 6.0})
    Keeper(str(tmp_path), protocols.OUTCOMES).write_all(before)
    keeper = Keeper(str(tmp_path), protocols.OUTCOMES)
    keeper.load()
    after = some(2)
    for tap in after:
        keeper.restore(tap)
    assert after[0].seen == pytest.approx({OFFER: 5.0, ACK: 6.0}, abs=0.1)
    assert after[1].seen == {}


def test_another_guest_on_the_tap_inherits_nothing(tmp_path: Path) -> None:
    [before] = some(1)
    before.seen[ACK] = 6.0
    Keeper(str(tmp_path), protocols.OUTCOMES).write_all([before])
    for other in (binding()._replace(mac=bytes(6)), binding()._replace(ip=IPv4Address("192.0.2.99"))):
        keeper = Keeper(str(tmp_path), protocols.OUTCOMES)
        keeper.load()
        tap = taps(other).by_index[10]
        keeper.restore(tap)
        assert tap.seen == {}


def test_what_was_kept_is_given_back_once(tmp_path: Path) -> None:
    [tap] = some(1)
    tap.seen[ACK] = 6.0
    keeper = Keeper(str(tmp_path), protocols.OUTCOMES)
    keeper.write_all([tap])
    keeper.load()
    tap.seen = {}
    keeper.restore(tap)
    assert tap.seen != {}
    tap.seen = {}
    keeper.restore(tap)
    assert tap.seen == {}


def test_it_is_written_in_parts_and_replaced_as_a_whole(tmp_path: Path) -> None:
    keeper = Keeper(str(tmp_path), protocols.OUTCOMES)
    keeper.begin(some(100))
    parts = 0
    while keeper.is_writing:
        assert not (tmp_path / "leases.json").exists()
        keeper.write_some()
        parts += 1
    assert parts == 6
    assert len(json.loads((tmp_path / "leases.json").read_text(encoding="utf-8"))) == 100
    keeper.write_some()
    assert list(tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize("text", ["", "{", "5", "[1]", '[{"mac": 1}]', '{"a": 1}'])
def test_a_broken_file_is_told_and_changes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "leases.json").write_text(text, encoding="utf-8")
    keeper = Keeper(str(tmp_path), protocols.OUTCOMES)
    with pytest.raises(CloudError, match=r"leases\.json: ") as raised:
        keeper.load()
    assert raised.value.hint == "remove it; nothing but the times in it is lost"
    [tap] = some(1)
    keeper.restore(tap)
    assert tap.seen == {}


@pytest.mark.parametrize("seen", [5, {"dhcp4 ack": "x"}, {"no such": 5}, None])
def test_odd_times_are_left_out(tmp_path: Path, seen: object) -> None:
    [tap] = some(1)
    row = leases.described(tap, 0.0) | {"seen": seen}
    (tmp_path / "leases.json").write_text(json.dumps([row]), encoding="utf-8")
    keeper = Keeper(str(tmp_path), protocols.OUTCOMES)
    keeper.load()
    keeper.restore(tap)
    assert tap.seen == {}


def test_without_a_file_there_is_nothing_to_know(tmp_path: Path) -> None:
    Keeper(str(tmp_path), protocols.OUTCOMES).load()
