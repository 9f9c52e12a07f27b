# SPDX-License-Identifier: BSD-2-Clause
"""What may reach a guest: its profile, what belongs to something it began, and who is on its network."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrFragment,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from ganeti_cloud.errors import RequestError
from kvm_ifup.port import Isolation, Rates
from tests.unit import kvm_ifup_guests as guests
from tests.unit.kvm_ifup_guests import ALL, MAC, PEER, PEER6, PEER_MAC, Place, sh

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and taps are for root"),
]

OWN, OWN6, LOCAL = guests.IP, guests.IP6, guests.LOCAL


def four(upper: Packet, source: str = PEER) -> Packet:
    return IP(src=source, dst=OWN) / upper


def six(upper: Packet, source: str = PEER6) -> Packet:
    return IPv6(src=source, dst=OWN6) / upper


def from_node(frame: Packet) -> Packet:
    """A frame that somebody on the guest's own link sends."""
    return Ether(src=PEER_MAC, dst=ALL) / frame


UNASKED = {
    "ping": four(ICMP()),
    "ping6": six(ICMPv6EchoRequest()),
    "ssh": four(TCP(sport=999, dport=22, flags="S")),
    "ssh6": six(TCP(sport=999, dport=22, flags="S")),
    "rdp": four(TCP(sport=999, dport=3389, flags="S")),
    "web": four(TCP(sport=999, dport=80, flags="S")),
    "web6": six(TCP(sport=999, dport=8010, flags="S")),
    "web-beside-the-ports": four(TCP(sport=999, dport=8011, flags="S")),
    "web-from-elsewhere": four(TCP(sport=999, dport=80, flags="S"), "192.0.2.9"),
    "web6-from-elsewhere": six(TCP(sport=999, dport=80, flags="S"), "2001:db8:a::9"),
    "udp": four(UDP(sport=999, dport=5000)),
    "udp6": six(UDP(sport=999, dport=5000)),
    "dns": four(UDP(sport=53, dport=999)),
    "acknowledgement": four(TCP(sport=999, dport=999, flags="A")),
    "answer-to-a-connection": four(TCP(sport=80, dport=999, flags="SA")),
    "gre": IP(src=PEER, dst=OWN, proto=47) / Raw(bytes(8)),
    "gre6": IPv6(src=PEER6, dst=OWN6, nh=47) / Raw(bytes(8)),
    "esp": IP(src=PEER, dst=OWN, proto=50) / Raw(bytes(8)),
    "too-big": four(ICMP(type=3, code=4) / IP(src=OWN, dst=PEER) / UDP()),
    "too-big6": six(ICMPv6PacketTooBig() / IPv6(src=OWN6, dst=PEER6) / UDP()),
}
ERRORS = {"too-big", "too-big6"}
PINGS = {"ping", "ping6"}
PASSING = {
    "unprotected": set(UNASKED),
    "protected": PINGS | ERRORS,
    "limited": PINGS | ERRORS | {"ssh", "ssh6", "rdp"},
    "site": ERRORS | {"web", "web6", "udp", "udp6", "gre", "gre6"},
}


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Place]]:
    with guests.node() as made:
        yield made


@pytest.fixture(params=["bridged", "routed"])
def place(places: dict[str, Place], request: pytest.FixtureRequest) -> Iterator[Place]:
    yield places[request.param]
    sh("nft", "flush", "ruleset")


@pytest.mark.parametrize("profile", PASSING)
def test_what_nobody_asked_for(place: Place, profile: str) -> None:
    place.make(profile=profile)
    before = place.filter.dropped()["profile"]
    assert {name for name, packet in UNASKED.items() if place.passes_in(packet)} == PASSING[profile]
    assert place.filter.dropped()["profile"] - before == len(UNASKED) - len(PASSING[profile])


@pytest.mark.parametrize("profile", PASSING)
def test_what_every_guest_has_to_get(places: dict[str, Place], profile: str) -> None:
    place = places["bridged"]
    place.make(profile=profile)
    for packet in (
        ARP(op=1, hwsrc=PEER_MAC, psrc=PEER, pdst=OWN),
        ARP(op=2, hwsrc=PEER_MAC, psrc=PEER, hwdst=MAC, pdst=OWN),
        IP(src=PEER, dst="255.255.255.255") / UDP(sport=67, dport=68),
        IPv6(src="fe80::1", dst=LOCAL) / UDP(sport=547, dport=546),
        IPv6(src="fe80::1", dst="ff02::1", hlim=255) / ICMPv6ND_RA(),
        IPv6(src="fe80::1", dst="ff02::1:ff00:a", hlim=255) / ICMPv6ND_NS(tgt=OWN6),
        IPv6(src="fe80::1", dst=LOCAL, hlim=255) / ICMPv6ND_NA(tgt=PEER6),
    ):
        place.guest.received()
        frame = from_node(packet)
        place.peer.send(frame)
        assert bytes(frame) in place.guest.received(), packet
    sh("nft", "flush", "ruleset")


FAMILIES = {"ipv4": (IP, OWN, PEER), "ipv6": (IPv6, OWN6, PEER6)}


@pytest.fixture(params=FAMILIES)
def ends(request: pytest.FixtureRequest) -> tuple[Packet, Packet]:
    """The network headers of what the guest sends, and of what its peer sends."""
    header, own, peer = FAMILIES[request.param]
    return header(src=own, dst=peer), header(src=peer, dst=own)


def test_a_flow_of_udp_and_what_is_not_of_it(place: Place, ends: tuple[Packet, Packet]) -> None:
    out, into = ends
    place.make(profile="protected")
    port = 4000
    answer = into / UDP(sport=53, dport=port)
    assert not place.passes_in(answer)
    assert place.passes_out(out / UDP(sport=port, dport=53))
    assert place.passes_in(answer)
    for refresh in ("protected", "limited", "site"):
        place.make(profile=refresh)
        assert place.passes_in(answer)
    for other in (UDP(sport=53, dport=port + 1), UDP(sport=54, dport=port), TCP(sport=53, dport=port, flags="A")):
        assert not place.passes_in(into / other)
    place.make(profile="unprotected")
    place.make(profile="protected")
    assert place.passes_in(answer)


def test_a_connection_of_tcp_goes_on(place: Place, ends: tuple[Packet, Packet]) -> None:
    out, into = ends
    place.make(profile="site")
    port = 4100

    def ours(flags: str, number: int, acknowledged: int = 0) -> bool:
        return place.passes_out(out / TCP(sport=port, dport=443, flags=flags, seq=number, ack=acknowledged))

    def theirs(flags: str, number: int, acknowledged: int = 0) -> bool:
        return place.passes_in(into / TCP(sport=443, dport=port, flags=flags, seq=number, ack=acknowledged))

    payload = len(guests.MARKED)
    # The test marks what it sends with some bytes, also in these (RFC 9293, 3.4: a SYN may carry data).
    assert ours("S", 100)
    assert theirs("SA", 500, 101 + payload)
    assert ours("A", 101 + payload, 501 + payload)
    assert theirs("A", 501 + payload, 101 + 2 * payload)
    place.make(profile="protected")
    assert theirs("A", 501 + 2 * payload, 101 + 2 * payload)
    assert ours("A", 101 + 2 * payload, 501 + 3 * payload)
    # A new one to the same port is not of it.
    assert not place.passes_in(into / TCP(sport=444, dport=port, flags="S", seq=1))
    assert theirs("A", 501 + 3 * payload, 101 + 3 * payload)


def test_a_connection_that_was_let_in_goes_on_after_its_port_was_closed(
    place: Place, ends: tuple[Packet, Packet]
) -> None:
    out, into = ends
    place.make(profile="limited")
    port = 4200
    payload = len(guests.MARKED)
    assert place.passes_in(into / TCP(sport=port, dport=22, flags="S", seq=100))
    assert place.passes_out(out / TCP(sport=22, dport=port, flags="SA", seq=500, ack=101 + payload))
    assert place.passes_in(into / TCP(sport=port, dport=22, flags="A", seq=101 + payload, ack=501 + payload))
    # The beginning of an answer is put down by nobody, or a flood of beginnings would fill the sets.
    assert place.passes_out(out / TCP(sport=22, dport=port, flags="A", seq=501 + payload, ack=101 + 2 * payload))
    place.make(profile="protected")
    assert place.passes_in(into / TCP(sport=port, dport=22, flags="A", seq=101 + 2 * payload, ack=501 + payload))
    assert not place.passes_in(into / TCP(sport=port + 1, dport=22, flags="S", seq=100))


def test_a_guest_of_another_tap_with_the_same_address_opens_nothing(places: dict[str, Place]) -> None:
    """Tenants of two bridges may have the same networks: the state of connections is a tap's own."""
    for place in places.values():
        place.make(profile="protected")
    one, other = places["bridged"], places["routed"]
    assert one.passes_out(IP(src=OWN, dst=PEER) / TCP(sport=22, dport=999, flags="S"))
    assert one.passes_in(UNASKED["ssh"])
    assert not other.passes_in(UNASKED["ssh"])
    sh("nft", "flush", "ruleset")


def test_a_connection_that_began_while_all_was_open_goes_on(place: Place, ends: tuple[Packet, Packet]) -> None:
    out, into = ends
    place.make()
    assert place.passes_out(out / TCP(sport=4300, dport=443, flags="S"))
    assert place.passes_in(into / TCP(sport=443, dport=4300, flags="SA"))
    assert place.passes_in(into / TCP(sport=5000, dport=8443, flags="S"))
    assert place.passes_out(out / TCP(sport=8443, dport=5000, flags="SA"))
    place.make(profile="protected")
    assert place.passes_in(into / TCP(sport=443, dport=4300, flags="A"))
    assert place.passes_in(into / TCP(sport=5000, dport=8443, flags="A"))
    assert not place.passes_in(into / TCP(sport=443, dport=4301, flags="A"))


def test_an_echo_that_was_asked_for(place: Place) -> None:
    place.make(profile="site")
    for header, own, peer, request, reply, another in (
        (IP, OWN, PEER, ICMP(type=8, id=7), ICMP(type=0, id=7), ICMP(type=0, id=8)),
        (IPv6, OWN6, PEER6, ICMPv6EchoRequest(id=7), ICMPv6EchoReply(id=7), ICMPv6EchoReply(id=8)),
    ):
        assert not place.passes_in(header(src=peer, dst=own) / reply)
        assert place.passes_out(header(src=own, dst=peer) / request)
        assert place.passes_in(header(src=peer, dst=own) / reply)
        assert not place.passes_in(header(src=peer, dst=own) / another)
        assert not place.passes_in(header(src=peer, dst=own) / request)


def test_other_protocols_are_known_by_their_addresses(place: Place, ends: tuple[Packet, Packet]) -> None:
    out, into = ends
    place.make(profile="protected")
    field = "proto" if isinstance(out, IP) else "nh"
    for packet in (out, into):
        setattr(packet, field, 50)
    assert not place.passes_in(into / Raw(bytes(8)))
    assert place.passes_out(out / Raw(bytes(8)))
    assert place.passes_in(into / Raw(bytes(8)))
    setattr(into, field, 51)
    assert not place.passes_in(into / Raw(bytes(8)))


def test_a_fragment_without_ports_opens_nothing_and_later_ones_pass(places: dict[str, Place]) -> None:
    place = places["bridged"]
    place.make(profile="protected")
    later = {"frag": 100, "proto": 6}
    place.guest.send(Ether(src=MAC, dst=PEER_MAC) / IP(src=OWN, dst=PEER, **later) / Raw(bytes(8)))
    assert not place.passes_in(UNASKED["ssh"])
    # With br_netfilter the node puts fragments together, and waits for the first.
    sysctls = [path.name for path in Path("/proc/sys/net/bridge").glob("bridge-nf-call-ip*")]
    for name in sysctls:
        guests.sysctl(f"bridge/{name}", "0")
    try:
        assert place.passes_in(IP(src=PEER, dst=OWN, **later) / Raw(bytes(8)))
        part = IPv6ExtHdrFragment(nh=6, offset=100, m=0)
        assert place.passes_in(IPv6(src=PEER6, dst=OWN6) / part / Raw(bytes(8)))
        first = IPv6ExtHdrFragment(nh=6, offset=0, m=1)
        assert not place.passes_in(IPv6(src=PEER6, dst=OWN6) / first / TCP(dport=22, flags="S"))
    finally:
        for name in sysctls:
            guests.sysctl(f"bridge/{name}", "1")
        sh("nft", "flush", "ruleset")


def test_what_is_known_of_connections_goes_with_the_tap(place: Place) -> None:
    answer = four(UDP(sport=53, dport=4000))
    place.make(profile="protected")
    assert place.passes_out(IP(src=OWN, dst=PEER) / UDP(sport=4000, dport=53))
    assert place.passes_in(answer)
    place.filter.unmake(place.port)
    place.make(profile="protected")
    assert not place.passes_in(answer)


def test_other_prefixes_of_a_shared_bridge(places: dict[str, Place]) -> None:
    place = places["bridged"]
    place.make(isolation=Isolation(bytes.fromhex("fffff0000000")))

    def reaches(source: str, packet: Packet, to: str = MAC) -> bool:
        place.guest.received()
        frame = Ether(src=source, dst=to) / packet
        place.peer.send(frame)
        return bytes(frame) in place.guest.received()

    good, near, far = "52:54:00:00:00:0b", "52:54:0f:99:99:99", "52:54:10:00:00:0b"
    web = four(TCP(dport=80, flags="S"))
    arp = ARP(op=2, psrc=PEER, pdst=OWN)
    assert [reaches(mac, web) for mac in (good, near, far)] == [True, True, False]
    assert [reaches(mac, arp, ALL) for mac in (good, near, far)] == [True, True, False]
    before = place.filter.dropped()["isolation"]
    assert not reaches(far, six(ICMPv6EchoRequest()))
    assert place.filter.dropped()["isolation"] == before + 1
    # nfdhcpd answers in the name of the tap.
    assert reaches("fe:54:00:00:00:0a", IP(src=PEER, dst=OWN) / UDP(sport=67, dport=68))
    place.make()
    assert reaches(far, web)
    sh("nft", "flush", "ruleset")


def test_more_than_it_may_receive(place: Place) -> None:
    place.make(rates=Rates(sent=None, received=8))  # 1 kB a second
    packet = four(UDP(sport=1, dport=2)) / bytes(1400)
    begin = time.monotonic()
    passed = sum(place.passes_in(packet) for _ in range(300))
    # What a quarter of a MiB has room for passes at once, and then less than one in a second.
    assert 170 < passed < 190 + (time.monotonic() - begin)
    assert place.filter.dropped()["received"] == 300 - passed


def test_a_profile_that_there_is_not(places: dict[str, Place]) -> None:
    place = places["routed"]
    with pytest.raises(RequestError) as caught:
        place.filter.check(place.port._replace(profile="nosuch; drop"))
    assert str(caught.value) == "tap1: there is no firewall profile 'nosuch; drop'"
    assert caught.value.hint == "known are limited, protected, site, unprotected"
