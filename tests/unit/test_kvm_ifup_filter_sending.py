# SPDX-License-Identifier: BSD-2-Clause
"""What a guest may send, and what not: frames written into real taps of this kernel, with the filter on them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, LLC, STP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Packet, Raw

from kvm_ifup.filtering.part import Filter
from kvm_ifup.port import BridgePort, Rates, Sources, Vlans
from tests.unit import kvm_ifup_guests as guests
from tests.unit.kvm_ifup_guests import ALL, MAC, OTHER, OTHER6, OTHER_LOCAL, PEER, PEER6, ROUTERS, Place, sh

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and taps are for root"),
]

OWN, OWN6, LOCAL = guests.IP, guests.IP6, guests.LOCAL
OTHER_MAC = "52:54:00:00:00:66"
NONCE = Raw(bytes([14, 1]) + b"noncex")  # RFC 7527; of 8 octets
SERVER = BOOTP(op=2) / DHCP(options=[("message-type", "offer"), "end"])


class Case(NamedTuple):
    """A frame, and the reason for which it is dropped; empty: it passes."""

    frame: Packet
    reason: str = ""


def ether(source: str = MAC, to: str = ALL) -> Packet:
    return Ether(src=source, dst=to)


def arp(**fields: object) -> Packet:
    return ether() / ARP(**({"hwsrc": MAC, "psrc": OWN, "pdst": PEER} | fields))


def nd(message: Packet, source: str = LOCAL, **fields: object) -> Packet:
    return ether(to=ROUTERS) / IPv6(**({"src": source, "dst": "ff02::1", "hlim": 255} | fields)) / message


SLLA = ICMPv6NDOptSrcLLAddr(lladdr=MAC)
TLLA = ICMPv6NDOptDstLLAddr(lladdr=MAC)
FORGED_SLLA = ICMPv6NDOptSrcLLAddr(lladdr=OTHER_MAC)
FORGED_TLLA = ICMPv6NDOptDstLLAddr(lladdr=OTHER_MAC)
RA = ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::", prefixlen=64)
DATA = b"x" * 64

CASES = {
    "udp": Case(ether() / IP(src=OWN, dst=PEER) / UDP(sport=1000, dport=2000) / DATA),
    "tcp": Case(ether() / IP(src=OWN, dst=PEER) / TCP(dport=80, flags="S")),
    "segment": Case(ether() / IP(src=OWN, dst=PEER) / TCP(flags="A") / DATA),
    "segment6": Case(ether() / IPv6(src=OWN6, dst=PEER6) / TCP(flags="A") / DATA),
    "ping": Case(ether() / IP(src=OWN, dst=PEER) / ICMP() / DATA),
    "part-of-a-packet": Case(ether() / IP(src=OWN, dst=PEER, proto=17, frag=100) / DATA),
    "arp-request": Case(arp()),
    "arp-reply": Case(arp(op=2, hwdst=OTHER_MAC)),
    "arp-announcement": Case(arp(pdst=OWN)),
    "arp-probe": Case(arp(psrc="0.0.0.0", pdst=OWN)),
    "rarp-of-qemu": Case(
        Ether(src=MAC, dst=ALL, type=0x8035) / ARP(op=3, hwsrc=MAC, hwdst=MAC, psrc="0.0.0.0", pdst="0.0.0.0")
    ),
    "dhcp-discover": Case(
        ether() / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / BOOTP() / DHCP()
    ),
    "dhcp-renewal": Case(ether() / IP(src=OWN, dst=PEER) / UDP(sport=68, dport=67) / BOOTP() / DHCP()),
    "udp6": Case(ether() / IPv6(src=OWN6, dst=PEER6) / UDP(sport=1000, dport=2000) / DATA),
    "udp6-local": Case(ether() / IPv6(src=LOCAL, dst="fe80::9") / UDP(sport=1000, dport=2000) / DATA),
    "ping6": Case(ether() / IPv6(src=OWN6, dst=PEER6) / ICMPv6EchoRequest() / DATA),
    "first-part-of-a-packet6": Case(
        ether() / IPv6(src=OWN6, dst=PEER6) / IPv6ExtHdrFragment(m=1, id=1, nh=58) / ICMPv6EchoRequest() / DATA
    ),
    "part-of-a-packet6": Case(
        ether() / IPv6(src=OWN6, dst=PEER6) / IPv6ExtHdrFragment(m=0, offset=9, id=1, nh=58) / Raw(DATA)
    ),
    "dhcp6-solicit": Case(ether() / IPv6(src=LOCAL, dst="ff02::1:2") / UDP(sport=546, dport=547) / DATA),
    "solicitation": Case(nd(ICMPv6ND_NS(tgt=OTHER6) / SLLA)),
    "solicitation-without-option": Case(nd(ICMPv6ND_NS(tgt=OTHER6))),
    "duplicate-detection": Case(nd(ICMPv6ND_NS(tgt=OWN6), "::")),
    "duplicate-detection-with-nonce": Case(nd(ICMPv6ND_NS(tgt=OWN6) / NONCE, "::")),
    "advertisement": Case(nd(ICMPv6ND_NA(tgt=OWN6, R=0) / TLLA)),
    "advertisement-without-option": Case(nd(ICMPv6ND_NA(tgt=LOCAL, R=0))),
    "router-solicitation": Case(nd(ICMPv6ND_RS() / SLLA)),
    "router-solicitation-without-source": Case(nd(ICMPv6ND_RS(), "::")),
    "listener-report": Case(
        ether() / IPv6(src="::", dst="ff02::16", hlim=1) / IPv6ExtHdrHopByHop() / ICMPv6MLReport2()
    ),
    "forged-mac": Case(ether(OTHER_MAC) / IP(src=OWN, dst=PEER) / UDP() / DATA, "mac"),
    "forged-mac-of-a-group": Case(ether("53:54:00:00:00:0a") / IP(src=OWN, dst=PEER) / UDP(), "mac"),
    "forged-mac-in-arp": Case(ether(OTHER_MAC) / ARP(hwsrc=OTHER_MAC, psrc=OWN, pdst=PEER), "mac"),
    "forged-mac-of-a-segment": Case(ether(OTHER_MAC) / IP(src=OWN, dst=PEER) / TCP(flags="A"), "mac"),
    "forged-mac-of-a-segment6": Case(ether(OTHER_MAC) / IPv6(src=OWN6, dst=PEER6) / TCP(flags="A"), "mac"),
    "forged-ipv4": Case(ether() / IP(src=OTHER, dst=PEER) / UDP() / DATA, "ipv4"),
    "forged-ipv4-tcp": Case(ether() / IP(src=OTHER, dst=PEER) / TCP(flags="A"), "ipv4"),
    "forged-ipv4-part": Case(ether() / IP(src=OTHER, dst=PEER, proto=17, frag=100) / DATA, "ipv4"),
    "no-ipv4": Case(ether() / IP(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=53), "ipv4"),
    "forged-ipv6": Case(ether() / IPv6(src=OTHER6, dst=PEER6) / UDP() / DATA, "ipv6"),
    "forged-ipv6-tcp": Case(ether() / IPv6(src=OTHER6, dst=PEER6) / TCP(flags="A"), "ipv6"),
    "forged-ipv6-local": Case(ether() / IPv6(src=OTHER_LOCAL, dst="fe80::9") / UDP() / DATA, "ipv6"),
    "forged-ipv6-ping": Case(ether() / IPv6(src=OTHER6, dst=PEER6) / ICMPv6EchoRequest(), "ipv6"),
    "forged-ipv6-part": Case(
        ether() / IPv6(src=OTHER6, dst=PEER6) / IPv6ExtHdrFragment(offset=9, nh=58) / Raw(DATA), "ipv6"
    ),
    "no-ipv6": Case(ether() / IPv6(src="::", dst=PEER6) / UDP() / DATA, "ipv6"),
    "forged-solicitation-source": Case(nd(ICMPv6ND_NS(tgt=OTHER6) / SLLA, OTHER_LOCAL), "ipv6"),
    "arp-poison": Case(arp(op=2, psrc=OTHER, hwdst=OTHER_MAC), "arp"),
    "arp-poison-by-request": Case(arp(psrc=OTHER), "arp"),
    "arp-of-another-mac": Case(arp(hwsrc=OTHER_MAC), "arp"),
    "arp-probe-of-another": Case(arp(psrc="0.0.0.0", pdst=OTHER), "arp"),
    "arp-reply-without-address": Case(arp(op=2, psrc="0.0.0.0", pdst=OWN), "arp"),
    "arp-of-another-kind": Case(arp(op=8), "arp"),
    "arp-of-another-protocol": Case(Ether(bytes(arp()).replace(b"\0\1\x08\0", b"\0\1\x86\xdd", 1)), "arp"),
    "arp-too-short": Case(Ether(bytes(arp())[:36]), "arp"),
    "rarp-of-another": Case(
        Ether(src=MAC, dst=ALL, type=0x8035) / ARP(op=3, hwsrc=OTHER_MAC, hwdst=OTHER_MAC, psrc="0.0.0.0"), "arp"
    ),
    "rarp-answer": Case(Ether(src=MAC, dst=ALL, type=0x8035) / ARP(op=4, hwsrc=MAC, psrc="0.0.0.0"), "arp"),
    "forged-advertisement": Case(nd(ICMPv6ND_NA(tgt=OTHER6, R=0) / TLLA), "neighbour"),
    "forged-advertisement-local": Case(nd(ICMPv6ND_NA(tgt=OTHER_LOCAL, R=0) / TLLA, OWN6), "neighbour"),
    "advertisement-of-another-mac": Case(nd(ICMPv6ND_NA(tgt=OWN6, R=0) / FORGED_TLLA), "neighbour"),
    "solicitation-of-another-mac": Case(nd(ICMPv6ND_NS(tgt=OTHER6) / FORGED_SLLA), "neighbour"),
    "router-solicitation-of-another-mac": Case(nd(ICMPv6ND_RS() / FORGED_SLLA), "neighbour"),
    "solicitation-with-a-second-option": Case(nd(ICMPv6ND_NS(tgt=OTHER6) / SLLA / FORGED_SLLA), "neighbour"),
    "advertisement-with-a-wrong-option": Case(nd(ICMPv6ND_NA(tgt=OWN6, R=0) / SLLA), "neighbour"),
    "duplicate-of-another": Case(nd(ICMPv6ND_NS(tgt=OTHER6), "::"), "neighbour"),
    "advertisement-from-afar": Case(nd(ICMPv6ND_NA(tgt=OWN6, R=0) / TLLA, hlim=64), "neighbour"),
    "advertisement-behind-a-header": Case(nd(IPv6ExtHdrDestOpt() / ICMPv6ND_NA(tgt=OWN6, R=0) / TLLA), "neighbour"),
    "advertisement-in-parts": Case(nd(IPv6ExtHdrFragment(m=1, nh=58) / ICMPv6ND_NA(tgt=OWN6) / TLLA), "neighbour"),
    "rogue-router": Case(nd(RA), "router"),
    "rogue-router-behind-headers": Case(nd(IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / RA), "router"),
    "rogue-router-in-parts": Case(nd(IPv6ExtHdrFragment(m=1, nh=58) / RA), "router"),
    "redirect": Case(nd(ICMPv6ND_Redirect(tgt=OTHER6, dst=PEER6)), "router"),
    "rogue-router-in-later-parts": Case(
        nd(IPv6ExtHdrFragment(m=1, nh=60) / Raw(bytes([58, 0]) + bytes(6))), "neighbour"
    ),
    "rogue-dhcp": Case(ether() / IP(src=OWN, dst="255.255.255.255") / UDP(sport=67, dport=68) / SERVER, "dhcp"),
    "rogue-dhcp-from-another-port": Case(ether() / IP(src=OWN, dst=PEER) / UDP(sport=99, dport=68) / SERVER, "dhcp"),
    "rogue-dhcp-relay": Case(ether() / IP(src=OWN, dst=PEER) / UDP(sport=67, dport=67) / SERVER, "dhcp"),
    "rogue-dhcp-in-parts": Case(
        ether() / IP(src=OWN, dst=PEER, flags="MF") / UDP(sport=67, dport=68) / Raw(DATA), "dhcp"
    ),
    "rogue-dhcp6": Case(ether() / IPv6(src=LOCAL, dst="fe80::9") / UDP(sport=547, dport=546) / DATA, "dhcp"),
    "rogue-dhcp6-from-another-port": Case(
        ether() / IPv6(src=LOCAL, dst="fe80::9") / UDP(sport=99, dport=546) / DATA, "dhcp"
    ),
    "tagged": Case(ether() / Dot1Q(vlan=5) / IP(src=OWN, dst=PEER) / UDP() / DATA, "vlan"),
    "tagged-segment": Case(ether() / Dot1Q(vlan=5) / IP(src=OWN, dst=PEER) / TCP(flags="A"), "vlan"),
    "tagged-with-a-priority": Case(ether() / Dot1Q(vlan=0, prio=5) / IP(src=OWN, dst=PEER) / UDP() / DATA, "vlan"),
    "tagged-by-a-provider": Case(ether() / Dot1AD(vlan=5) / IP(src=OWN, dst=PEER) / UDP() / DATA, "vlan"),
    "tagged-twice": Case(ether() / Dot1Q(vlan=1) / Dot1Q(vlan=5) / IP(src=OWN, dst=PEER) / UDP() / DATA, "vlan"),
    "lldp": Case(Ether(src=MAC, dst=ALL, type=0x88CC) / DATA, "ethertype"),
    "mpls": Case(Ether(src=MAC, dst=ALL, type=0x8847) / DATA, "ethertype"),
    "spanning-tree": Case(Dot3(src=MAC, dst="01:80:c2:00:00:00") / LLC() / STP(), "ethertype"),
    "ipv4-in-name-only": Case(Ether(src=MAC, dst=ALL, type=0x0800) / DATA, "malformed"),
    "ipv6-cut-off": Case(
        Ether(bytes(ether() / IPv6(src=OWN6, dst=PEER6, nh=0, plen=8) / bytes([0, 9, 0, 0, 0, 0, 0, 0]))), "malformed"
    ),
}


@pytest.fixture(scope="module")
def places() -> Iterator[dict[str, Place]]:
    with guests.node() as made:
        for place in made.values():
            place.make()
        yield made


@pytest.fixture(params=["bridged", "routed"])
def place(places: dict[str, Place], request: pytest.FixtureRequest) -> Iterator[Place]:
    made = places[request.param]
    made.make()
    yield made


def outcome(place: Place, frame: Packet | bytes) -> tuple[bool, dict[str, int]]:
    """Whether the neighbour got the *frame* as it is, and what was counted."""
    before = place.filter.dropped()
    place.peer.received()
    place.guest.send(frame)
    passed = bytes(frame) in place.peer.received()
    after = place.filter.dropped()
    return passed, {reason: number - before[reason] for reason, number in after.items() if number != before[reason]}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_a_guest_sends(place: Place, case: Case) -> None:
    passed, counted = outcome(place, case.frame)
    assert counted == ({case.reason: 1} if case.reason else {})
    if place.is_bridged:
        assert passed == (not case.reason)


# By the bridge, or what it asks.
STOPPED_ANYWAY = {"forged-mac-of-a-group", "spanning-tree", "ipv4-in-name-only", "ipv6-cut-off"}


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].reason and name not in STOPPED_ANYWAY])
def test_the_filter_is_what_stops_it(places: dict[str, Place], name: str) -> None:
    """Without it the same frames pass the bridge."""
    place = places["bridged"]
    place.filter.unmake(place.port)
    assert outcome(place, CASES[name].frame) == (True, {})


@pytest.mark.parametrize(
    ("packet", "passes"),
    [
        (IP(src=OWN, dst=PEER) / UDP(sport=1000, dport=2000), True),
        (IPv6(src=OWN6, dst=PEER6) / UDP(sport=1000, dport=2000), True),
        (IP(src=OTHER, dst=PEER) / UDP(sport=1000, dport=2000), False),
        (IPv6(src=OTHER6, dst=PEER6) / UDP(sport=1000, dport=2000), False),
    ],
    ids=["ipv4", "ipv6", "forged-ipv4", "forged-ipv6"],
)
def test_what_comes_through_to_the_peer(place: Place, packet: Packet, passes: bool) -> None:
    assert place.passes_out(packet) == passes
    place.filter.unmake(place.port)
    assert place.passes_out(packet)


def test_a_router_of_its_own(place: Place) -> None:
    place.make(macspoof=True, sources=Sources(None, None))
    for name in ("forged-mac", "forged-ipv4", "forged-ipv6", "arp-poison", "arp-of-another-mac"):
        assert outcome(place, CASES[name].frame)[1] == {}, name
    for name in ("solicitation-of-another-mac", "forged-advertisement", "rarp-of-another", "duplicate-of-another"):
        assert outcome(place, CASES[name].frame)[1] == {}, name
    # It gets no more than that.
    for name in ("rogue-dhcp", "rogue-dhcp6", "rogue-router", "tagged", "lldp", "ipv6-cut-off"):
        assert outcome(place, CASES[name].frame)[1] == {CASES[name].reason: 1}, name


def test_a_family_that_is_closed(place: Place) -> None:
    place.make(sources=Sources((), ()))
    for name in ("udp", "dhcp-discover", "part-of-a-packet"):
        assert outcome(place, CASES[name].frame)[1] == {"ipv4": 1}, name
    for name in ("arp-request", "arp-probe"):
        assert outcome(place, CASES[name].frame)[1] == {"arp": 1}, name
    for name in ("udp6", "udp6-local", "router-solicitation-without-source", "solicitation"):
        assert outcome(place, CASES[name].frame)[1] == {"ipv6": 1}, name
    assert outcome(place, CASES["duplicate-detection"].frame)[1] == {"neighbour": 1}
    assert outcome(place, CASES["forged-mac"].frame)[1] == {"mac": 1}


def test_networks_and_not_only_addresses(place: Place) -> None:
    sources = Sources(
        (IPv4Network("198.51.100.64/28"), IPv4Network("192.0.2.0/24")),
        (IPv6Network("2001:db8:5::/64"), IPv6Network("fe80::/10")),
    )
    place.make(sources=sources)
    assert outcome(place, CASES["forged-ipv4"].frame)[1] == {}
    assert outcome(place, CASES["udp"].frame)[1] == {"ipv4": 1}
    assert outcome(place, CASES["arp-poison"].frame)[1] == {}
    assert outcome(place, CASES["arp-reply"].frame)[1] == {"arp": 1}
    for name in ("forged-ipv6", "udp6", "udp6-local", "forged-advertisement"):
        assert outcome(place, CASES[name].frame)[1] == {}, name
    assert outcome(place, ether() / IPv6(src="2001:db8:6::1", dst=PEER6) / UDP())[1] == {"ipv6": 1}
    everything = Sources((IPv4Network("0.0.0.0/0"),), (IPv6Network("::/0"),))
    place.make(sources=everything)
    for name in ("udp", "forged-ipv4", "forged-ipv6", "arp-poison"):
        assert outcome(place, CASES[name].frame)[1] == {}, name


def test_more_networks_than_have_a_short_way(place: Place) -> None:
    others = (IPv4Network(f"192.0.2.{number}/32") for number in range(4))
    others6 = (IPv6Network(f"2001:db8:7::{number}/128") for number in range(4))
    networks = Sources((*others, IPv4Network(OWN)), (*others6, IPv6Network(OWN6), IPv6Network(LOCAL)))
    place.make(sources=networks)
    assert outcome(place, ether() / IP(src="192.0.2.3", dst=PEER) / UDP(sport=9, dport=9))[1] == {}
    for case in ("udp", "segment", "udp6", "segment6", "forged-ipv4", "forged-ipv6-tcp", "rogue-dhcp", "rogue-dhcp6"):
        assert outcome(place, CASES[case].frame)[1] == ({CASES[case].reason: 1} if CASES[case].reason else {}), case


def test_a_trunk(places: dict[str, Place]) -> None:
    place = places["bridged"]
    place.make(connection=BridgePort(guests.BRIDGE, Vlans(1, (5, 4094))))
    good = IP(src=OWN, dst=PEER) / UDP(sport=1000, dport=2000) / DATA
    assert outcome(place, ether() / good) == (True, {})
    assert outcome(place, ether() / Dot1Q(vlan=5) / good) == (True, {})
    assert outcome(place, ether() / Dot1Q(vlan=4094, prio=3) / good) == (True, {})
    assert outcome(place, ether() / Dot1Q(vlan=6) / good) == (False, {"vlan": 1})
    assert outcome(place, ether() / Dot1AD(vlan=5) / good) == (False, {"vlan": 1})
    # In its VLANs it is no freer than without them.
    assert outcome(place, ether() / Dot1Q(vlan=5) / IP(src=OTHER, dst=PEER) / UDP())[1] == {"ipv4": 1}
    assert outcome(place, ether(OTHER_MAC) / Dot1Q(vlan=5) / good)[1] == {"mac": 1}
    rogue = IPv6(src=LOCAL, dst="ff02::1", hlim=255) / RA
    assert outcome(place, ether() / Dot1Q(vlan=5) / rogue)[1] == {"router": 1}
    assert outcome(place, ether() / Dot1Q(vlan=5) / Dot1Q(vlan=6) / good)[1] == {"ethertype": 1}
    place.make()
    assert outcome(place, ether() / Dot1Q(vlan=5) / good) == (False, {"vlan": 1})


def test_a_trunk_of_very_many(places: dict[str, Place]) -> None:
    place = places["bridged"]
    good = IP(src=OWN, dst=PEER) / UDP(sport=1000, dport=2000) / DATA
    for vlans in (tuple(range(2, 4095, 2)), (*range(2, 101), *range(3000, 4095, 2))):
        place.make(connection=BridgePort(guests.BRIDGE, Vlans(1, vlans)))
        for vlan in (1, 2, 3, 4, 99, 100, 101, 102, 2999, 3000, 4093, 4094, 4095):
            assert outcome(place, ether() / Dot1Q(vlan=vlan) / good)[0] == (vlan in vlans), vlan


def test_other_ethertypes_that_the_site_allows(places: dict[str, Place]) -> None:
    place = places["bridged"]
    allowing = Filter(guests.SETTINGS._replace(ethertypes=(0x8847, 0x8100, 0x0806)))
    allowing.make(place.port)
    try:
        assert outcome(place, CASES["mpls"].frame) == (True, {})
        for name in ("lldp", "tagged", "arp-poison"):
            assert outcome(place, CASES[name].frame) == (False, {CASES[name].reason: 1})
    finally:
        place.make()
    assert outcome(place, CASES["mpls"].frame) == (False, {"ethertype": 1})


def test_more_than_it_may_send(place: Place) -> None:
    place.make(rates=Rates(sent=8, received=None))  # 1 kB a second
    frame = bytes(ether() / IP(src=OWN, dst=PEER) / UDP(sport=1000, dport=2000) / bytes(1400))
    before, begin = place.filter.dropped()["sent"], time.monotonic()
    for _ in range(400):
        place.guest.send(frame)
    dropped = place.filter.dropped()["sent"] - before
    # What a quarter of a MiB has room for passes at once, and then less than one in a second.
    assert 210 - (time.monotonic() - begin) < dropped < 230
    place.make()
    for _ in range(400):
        place.guest.send(frame)
    assert place.filter.dropped()["sent"] - before == dropped


def test_two_guests_with_the_same_address(places: dict[str, Place]) -> None:
    """Each is judged by its tap: what is one's own is another's on another tap."""
    sh("ip", "link", "add", "br1", "type", "bridge")
    sh("ip", "link", "set", "br1", "up")
    twin = guests.Wire("tap7")
    sh("ip", "link", "set", "tap7", "master", "br1", "up")
    place = places["bridged"]
    mac = "52:54:00:00:00:77"
    port = place.port._replace(tap="tap7", mac=bytes.fromhex(mac.replace(":", "")), connection=BridgePort("br1"))
    place.filter.make(port)
    place.make()
    try:
        before = place.filter.dropped()
        twin.send(ether(mac) / IP(src=OWN, dst=PEER) / UDP())
        assert place.filter.dropped() == before
        twin.send(ether() / IP(src=OWN, dst=PEER) / UDP())
        assert place.filter.dropped()["mac"] == before["mac"] + 1
        place.filter.unmake(port)
        assert outcome(place, CASES["udp"].frame) == (True, {})
        assert outcome(place, CASES["forged-ipv4"].frame) == (False, {"ipv4": 1})
    finally:
        place.filter.unmake(port)
        twin.close()


def test_requests_still_come_to_the_server_of_the_node(places: dict[str, Place]) -> None:
    """nfdhcpd takes them at PREROUTING, after this filter: with nft, or with such a rule of iptables."""
    place = places["bridged"]
    place.make()
    rule = "-m physdev --physdev-in tap0 -p udp -m udp --dport 67 -j NFQUEUE --queue-num 42 --queue-bypass"
    sh("iptables", "-t", "mangle", "-A", "PREROUTING", *rule.split())

    def queued() -> int:
        [found] = re.findall(r"^\[(\d+):.*NFQUEUE", sh("iptables-save", "-c", "-t", "mangle"), re.MULTILINE)
        return int(found)

    discover = CASES["dhcp-discover"].frame
    forged = bytes(discover).replace(bytes.fromhex(MAC.replace(":", "")), bytes.fromhex(OTHER_MAC.replace(":", "")))
    try:
        place.guest.send(discover)
        assert queued() == 1
        place.guest.send(forged)
        assert queued() == 1
        place.filter.unmake(place.port)
        place.guest.send(forged)
        assert queued() == 2
    finally:
        sh("iptables", "-t", "mangle", "-F")
