# SPDX-License-Identifier: BSD-2-Clause
"""Neighbour solicitations: the node speaks for its addresses and for the network that it routes to."""

from __future__ import annotations

import random
from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest

from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.router import advertising, outcomes
from nfdhcpd.router.advertising import Prepared
from tests.fuzz import ns
from tests.fuzz.decoders import shown
from tests.unit import nfdhcpd_ipv6 as guest
from tests.unit.nfdhcpd_ipv6 import (
    BINDING,
    MAC,
    ROUTER_MAC,
    SITE,
    dissected,
    duplicate_detection,
    header,
    inet6,
    neighbour_solicitation,
)

OTHER = "2001:db8:7::1234"


def prepared(**changed: Any) -> Prepared:
    found = advertising.prepare(BINDING._replace(**changed), SITE, ROUTER_MAC)
    assert found is not None
    return found


def asked(packet: Any, mac: bytes = MAC, **changed: Any) -> tuple[Outcome, Any]:
    """The outcome, and scapy's view of the answer."""
    outcome, frame = advertising.answer_neighbour(prepared(**changed), bytes(packet), mac)
    assert (frame is not None) == outcome.answered
    return outcome, None if frame is None else dissected(frame)


def advertisement(target: str, source: str, *, flags: tuple[int, int, int], to_all: bool = False) -> Any:
    router, solicited, override = flags
    mac, destination = (guest.ALL_NODES_MAC, guest.ALL_NODES) if to_all else (guest.MAC_TEXT, guest.GUEST)
    return (
        guest.Ether(src=guest.ROUTER_MAC_TEXT, dst=mac)
        / header(source, destination)
        / inet6.ICMPv6ND_NA(tgt=target, R=router, S=solicited, O=override)
        / inet6.ICMPv6NDOptDstLLAddr(lladdr=guest.ROUTER_MAC_TEXT)
    )


def test_any_address_of_the_network_is_at_the_router() -> None:
    """RFC 4861, 7.2.8: a proxy does not override."""
    outcome, found = asked(neighbour_solicitation(OTHER))
    assert outcome is outcomes.NEIGHBOUR_PROXIED
    assert bytes(found) == bytes(advertisement(OTHER, guest.ROUTER, flags=(1, 1, 0)))


@pytest.mark.parametrize("target", [guest.GATEWAY, guest.ROUTER])
def test_the_router_speaks_for_its_own_addresses(target: str) -> None:
    outcome, found = asked(neighbour_solicitation(target))
    assert outcome is outcomes.NEIGHBOUR_ADVERTISED
    assert bytes(found) == bytes(advertisement(target, target, flags=(1, 1, 1)))


@pytest.mark.parametrize("gateway", ["fe80::1", "2001:db8:99::1"])
def test_a_gateway_out_of_the_network_is_the_router_too(gateway: str) -> None:
    outcome, found = asked(neighbour_solicitation(gateway), gateway6=IPv6Address(gateway))
    assert outcome is outcomes.NEIGHBOUR_ADVERTISED
    assert bytes(found) == bytes(advertisement(gateway, gateway, flags=(1, 1, 1)))


def test_a_neighbour_is_checked_without_multicast() -> None:
    """RFC 4861, 7.3.3: to see whether the router is still there."""
    outcome, _ = asked(neighbour_solicitation(guest.GATEWAY, mac=None, destination=guest.GATEWAY))
    assert outcome is outcomes.NEIGHBOUR_ADVERTISED


def test_an_address_of_privacy_is_answered_where_it_asks_from() -> None:
    """RFC 8981: such an address tells nothing of the MAC."""
    source = "2001:db8:7:0:99aa:bbcc:ddee:ff01"
    outcome, found = asked(neighbour_solicitation(guest.GATEWAY, source))
    assert outcome is outcomes.NEIGHBOUR_ADVERTISED
    assert (found.dst, found[inet6.IPv6].dst) == (guest.MAC_TEXT, source)


@pytest.mark.parametrize("target", [guest.GUEST, guest.ADDRESS, "2001:db8:7::77"])
@pytest.mark.parametrize("source", [guest.UNSPECIFIED, guest.GUEST, OTHER])
def test_the_guests_own_addresses_are_never_spoken_for(target: str, source: str) -> None:
    mac = None if source == guest.UNSPECIFIED else guest.MAC_TEXT
    outcome, _ = asked(neighbour_solicitation(target, source, mac), ip6=IPv6Address("2001:db8:7::77"))
    assert outcome is outcomes.NEIGHBOUR_OWN_ADDRESS


def test_whatever_the_guest_speaks_from_is_its_own() -> None:
    outcome, _ = asked(neighbour_solicitation(OTHER, OTHER))
    assert outcome is outcomes.NEIGHBOUR_OWN_ADDRESS


@pytest.mark.parametrize("target", [OTHER, "2001:db8:7:0:99aa:bbcc:ddee:ff01", "fe80::99", "2001:db8:8::1"])
def test_duplicate_address_detection_is_left_alone(target: str) -> None:
    """An answer would say that the address is taken (RFC 4862, 5.4.4)."""
    outcome, _ = asked(duplicate_detection(target))
    assert outcome is outcomes.NEIGHBOUR_DUPLICATE_DETECTION


@pytest.mark.parametrize("target", [guest.GATEWAY, guest.ROUTER])
def test_the_router_keeps_its_addresses(target: str) -> None:
    """RFC 4861, 7.2.4: to all nodes, and not solicited."""
    outcome, found = asked(duplicate_detection(target))
    assert outcome is outcomes.NEIGHBOUR_DEFENDED
    assert bytes(found) == bytes(advertisement(target, target, flags=(1, 0, 1), to_all=True))


@pytest.mark.parametrize(
    "target", ["fe80::99", "2001:db8:8::1", "2001:db8:7:1::1", "2001:db8:6:ffff:ffff:ffff:ffff:ffff", "::1"]
)
def test_others_are_not_spoken_for(target: str) -> None:
    outcome, _ = asked(neighbour_solicitation(target))
    assert outcome is outcomes.NEIGHBOUR_OTHER_TARGET


@pytest.mark.parametrize(("prefix", "answered"), [("2001:db8:7::/125", True), ("2001:db8:7::8/125", False)])
def test_the_network_may_have_any_length(prefix: str, answered: bool) -> None:
    outcome, _ = asked(neighbour_solicitation("2001:db8:7::7"), subnet6=IPv6Network(prefix), gateway6=None)
    assert outcome is (outcomes.NEIGHBOUR_PROXIED if answered else outcomes.NEIGHBOUR_OTHER_TARGET)


def test_the_asker_names_the_address_that_it_sends_from() -> None:
    packet = neighbour_solicitation(OTHER, mac="aa:00:00:00:00:99")
    assert asked(packet)[0] is outcomes.NEIGHBOUR_WRONG_LINK_LAYER_ADDRESS
    assert asked(packet, macspoof=True)[0] is outcomes.NEIGHBOUR_PROXIED


MALFORMED = [
    (neighbour_solicitation(OTHER, guest.UNSPECIFIED), "wrong_link_layer_address"),
    (neighbour_solicitation(OTHER, guest.UNSPECIFIED, None, destination=OTHER), "bad_destination"),
    (neighbour_solicitation("ff02::1"), "bad_target"),
    (guest.router_solicitation(), "other_type"),
    (header() / inet6.ICMPv6Unknown(type=135, code=1, msgbody=bytes(20)), "other_type"),
    (header() / inet6.ICMPv6Unknown(type=135, code=0, msgbody=bytes(19)), "bad_length"),
    (header() / inet6.ICMPv6Unknown(type=135, code=0, msgbody=bytes(28)), "bad_option"),
    (neighbour_solicitation(OTHER)[inet6.IPv6].__class__(hlim=64, dst="ff02::1") / inet6.ICMPv6ND_NS(), "forwarded"),
]


@pytest.mark.parametrize(("packet", "name"), MALFORMED)
def test_a_malformed_one_is_not_answered(packet: Any, name: str) -> None:
    outcome, found = asked(packet)
    assert (outcome.protocol, outcome.name, found) == ("ns", name, None)


def test_wrong_packets_do_no_harm() -> None:
    counts = shown(ns.TARGET, seed=1, number=10_000)
    assert counts.total() == 10_000
    assert {"proxied", "advertised", "defended", "duplicate_detection", "own_address", "other_target"} <= set(counts)
    assert {"truncated", "bad_length", "bad_checksum", "bad_option", "bad_destination", "bad_target"} <= set(counts)


def test_random_solicitations_are_answered_as_scapy_says() -> None:
    rng = random.Random(10)
    mine = prepared()
    for _ in range(100):
        target = str(IPv6Address(int(IPv6Address("2001:db8:7::")) | rng.getrandbits(64)))
        source = str(IPv6Address(rng.choice((0xFE80 << 112, 0x20010DB8_0007 << 80)) | rng.getrandbits(64)))
        _, frame = advertising.answer_neighbour(mine, bytes(neighbour_solicitation(target, source)), MAC)
        found = dissected(frame)
        assert (found[inet6.IPv6].dst, found[inet6.ICMPv6ND_NA].tgt) == (source, target)
