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
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from tests.unit import kvm_ifup_guests as guests
from tests.unit.kvm_ifup_guests import MAC, PEER_MAC, Place, sh

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and taps are for root"),
]

_SIZE = 65536
_ETHERNET = 14
_SECONDS = 1000


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

    def times(self, kind: str) -> list[float]:
        """Seconds that each entry of a set is to stay; of those that have any left."""
        rows = json.loads(sh("nft", "-j", "list", "set", "netdev", "ganeti-cloud", f"{kind}{self.version}-tap0"))
        [found] = [row["set"] for row in rows["nftables"] if "set" in row]
        return [entry["elem"]["timeout"] for entry in found.get("elem", ()) if entry["elem"]["expires"] > 0]


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def ends(place: Place, request: pytest.FixtureRequest) -> Ends:
    return Ends(place, int(request.param))


def tcp(flags: str, port: int = 4000) -> Packet:
    return TCP(sport=port, dport=443, flags=flags)


def back(flags: str, port: int = 4000) -> Packet:
    return TCP(sport=443, dport=port, flags=flags)


def emptied(ends: Ends, kind: str) -> bool:
    """The kernel looks each second for what has no time left."""
    end = time.monotonic() + 10
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
