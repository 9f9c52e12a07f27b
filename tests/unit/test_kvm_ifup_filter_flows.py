# SPDX-License-Identifier: BSD-2-Clause
"""How long a closed profile knows what a guest began, and what it does when there is too much of that."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from kvm_ifup.filtering.part import Filter
from tests.unit import kvm_ifup_guests as guests
from tests.unit.kvm_ifup_guests import MAC, PEER_MAC, Place, sh

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and taps are for root"),
]

_SIZE = 65536
_ETHERNET = 14
_TIMES = (30, 60, 120, 300, 14400)


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Place]]:
    with guests.node() as made:
        yield made


@pytest.fixture
def place(places: dict[str, Place]) -> Iterator[Place]:
    yield places["bridged"]
    sh("nft", "flush", "ruleset")


class Ends:
    """What the guest and its peer send one another by one version of IP."""

    def __init__(self, place: Place, version: int) -> None:
        self.place, self.version = place, version
        own, peer = (guests.IP, guests.PEER) if version == 4 else (guests.IP6, guests.PEER6)
        header = IP if version == 4 else IPv6
        self._out, self._into = header(src=own, dst=peer), header(src=peer, dst=own)
        self.encrypted = IP(src=own, dst=peer, proto=50) if version == 4 else IPv6(src=own, dst=peer, nh=50)

    def ours(self, upper: Packet) -> bool:
        return self.place.passes_out(self._out / upper)

    def theirs(self, upper: Packet) -> bool:
        return self.place.passes_in(self._into / upper)

    def flood(self, upper: Packet, number: int, *, first: int = 0, guest: bool = True) -> None:
        """*number* packets like *upper*, each with other ports."""
        macs = (MAC, PEER_MAC) if guest else (PEER_MAC, MAC)
        frame = bytearray(bytes(Ether(src=macs[0], dst=macs[1]) / (self._out if guest else self._into) / upper))
        ports = _ETHERNET + (20 if self.version == 4 else 40)
        source = self.place.guest if guest else self.place.peer
        for each in range(first, first + number):
            struct.pack_into(">HH", frame, ports, *(1000 + each // 50000, each % 50000))
            source.send(bytes(frame))

    def times(self, kind: str) -> list[int]:
        """What each entry of a set has of the times that are given, in seconds; of those that have any left."""
        rows = json.loads(sh("nft", "-j", "list", "set", "netdev", "ganeti-cloud", f"{kind}{self.version}-tap0"))
        [found] = [row["set"] for row in rows["nftables"] if "set" in row]
        left = [entry["elem"]["expires"] for entry in found.get("elem", ())]
        return [min(given for given in _TIMES if given >= seconds) for seconds in left if seconds > 0]


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def ends(place: Place, request: pytest.FixtureRequest) -> Ends:
    return Ends(place, int(request.param))


def tcp(flags: str, port: int = 4000) -> Packet:
    return TCP(sport=port, dport=443, flags=flags)


def back(flags: str, port: int = 4000) -> Packet:
    return TCP(sport=443, dport=port, flags=flags)


def emptied(ends: Ends, kind: str) -> bool:
    """The kernel looks each second for what has no time left."""
    end = time.monotonic() + 60
    while ends.times(kind):
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def test_ten_thousand_connections_that_the_guest_ends_are_soon_forgotten(ends: Ends) -> None:
    ends.place.make(profile="protected")
    for flags, guest in (("S", True), ("A", True), ("PA", True), ("FA", True), ("A", True)):
        ends.flood(TCP(flags=flags), 10_000, guest=guest)
    assert emptied(ends, "flows")
    kept = ends.times("brief")
    assert (len(kept), max(kept)) == (10_000, 120)


def test_a_connection_while_it_begins_goes_on_and_ends(ends: Ends) -> None:
    ends.place.make(profile="protected")
    assert ends.ours(tcp("S"))
    assert (ends.times("flows"), ends.times("brief")) == ([120], [])
    assert ends.theirs(back("SA"))
    assert ends.ours(tcp("A"))
    assert (ends.times("flows"), ends.times("brief")) == ([14400], [])
    assert ends.ours(tcp("FA"))
    assert emptied(ends, "flows")
    # The other end may have more to say.
    ends.place.make(profile="limited")
    for _ in range(3):
        assert ends.theirs(back("PA"))
        assert ends.ours(tcp("A"))
    assert ends.theirs(back("FA"))
    assert ends.ours(tcp("A"))
    assert (ends.times("flows"), ends.times("brief")) == ([], [120])
    assert not ends.theirs(back("PA", 4001))


def test_ports_that_are_used_again_begin_anew(ends: Ends) -> None:
    ends.place.make(profile="protected")
    for flags in ("S", "A", "FA", "A", "S", "A"):
        assert ends.ours(tcp(flags))
    assert ends.times("flows") == [14400]
    assert emptied(ends, "brief")


def test_a_connection_that_the_guest_resets_is_forgotten(ends: Ends) -> None:
    ends.place.make(profile="protected")
    for flags in ("S", "A", "R"):
        assert ends.ours(tcp(flags))
    assert emptied(ends, "flows")
    assert ends.times("brief") == []
    assert not ends.theirs(back("A"))


def test_a_reset_that_comes_shortens_its_time_until_the_guest_goes_on(ends: Ends) -> None:
    ends.place.make(profile="protected")
    assert ends.ours(tcp("A"))
    assert ends.theirs(back("RA"))
    assert ends.times("flows") == [120]
    assert ends.ours(tcp("A"))
    assert (ends.times("flows"), ends.times("brief")) == ([14400], [])
    # One that belongs to nothing begins nothing either.
    assert not ends.theirs(back("R", 4001))
    assert len(ends.times("flows")) == 1


def test_a_flood_of_beginnings_from_outside_puts_nothing_down(ends: Ends) -> None:
    ends.place.make(profile="limited")
    ends.flood(TCP(flags="SA"), 1000)
    assert (ends.times("flows"), ends.times("brief")) == ([], [])


@pytest.mark.parametrize(("upper", "wanted"), [(UDP(sport=4000, dport=53), 30), (UDP(sport=53, dport=4000), 30)])
def test_questions_for_names_are_known_for_as_long_as_they_are_asked(ends: Ends, upper: Packet, wanted: int) -> None:
    ends.place.make(profile="protected")
    assert ends.ours(upper)
    assert ends.ours(UDP(sport=4000, dport=4001))
    assert sorted(ends.times("flows")) == [wanted, 300]


def test_a_guest_that_fills_its_sets(ends: Ends) -> None:
    """What has no room has two minutes. Without room for that it passes and is counted, and its answers do not come."""
    ends.place.make(profile="protected")
    assert ends.ours(tcp("A"))
    ends.flood(UDP(), _SIZE)
    # In the place of hours.
    assert ends.ours(tcp("S", 5000))
    assert ends.ours(tcp("A", 5000))
    assert ends.theirs(back("A", 5000))
    assert ends.place.filter.overflows() == {}
    ends.flood(UDP(), _SIZE, first=_SIZE)
    # Some of these were to ports that no guest may send to.
    ends.flood(UDP(), 10, first=2 * _SIZE)
    lost = ends.place.filter.overflows()["tap0"]
    assert 5 <= lost <= 15
    for upper, answer in (
        (tcp("S", 6000), back("SA", 6000)),
        (UDP(sport=6000, dport=5000), UDP(sport=5000, dport=6000)),
    ):
        assert ends.ours(upper)
        assert not ends.theirs(answer)
    # What is there stays, and another tap has its own room.
    assert ends.theirs(back("A"))
    ends.place.make(profile="limited")
    assert ends.theirs(back("A"))
    assert ends.place.filter.overflows() == {"tap0": lost + 2}
    other = Filter(guests.SETTINGS)
    other.unmake(ends.place.port)
    assert other.overflows() == {}


def test_while_all_is_open_only_what_is_open_is_known(ends: Ends) -> None:
    ends.place.make()
    for upper in (tcp("S"), tcp("A"), UDP(sport=5, dport=6), tcp("S", 4001), tcp("S", 4002), tcp("FA", 4001)):
        assert ends.ours(upper)
    assert ends.ours(tcp("R", 4002))
    assert ends.times("flows") == [14400]
    assert ends.times("brief") == []


def test_echoes_have_a_minute_and_other_protocols_five(ends: Ends) -> None:
    ends.place.make(profile="protected")
    echo = ICMP() if ends.version == 4 else ICMPv6EchoRequest()
    assert ends.ours(echo)
    assert ends.place.passes_out(ends.encrypted / Raw(bytes(8)))
    assert sorted(ends.times("flows")) == [60, 300]
