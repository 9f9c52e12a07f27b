# SPDX-License-Identifier: BSD-2-Clause
"""Router solicitations and what a router says of itself."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network
from typing import Any

import pytest

from nfdhcpd.packets.outcome import Outcome
from nfdhcpd.router import advertising, outcomes
from nfdhcpd.router.advertising import Prepared
from tests.fuzz import rs
from tests.fuzz.decoders import shown
from tests.unit import nfdhcpd_ipv6 as guest
from tests.unit.nfdhcpd_ipv6 import BINDING, MAC, ROUTER_MAC, SITE, dissected, header, inet6


def prepared(site: dict[str, Any] | None = None, **changed: Any) -> Prepared:
    found = advertising.prepare(BINDING._replace(**changed), SITE._replace(**(site or {})), ROUTER_MAC)
    assert found is not None
    return found


def outcome_of(packet: Any, mac: bytes = MAC, **changed: Any) -> Outcome:
    outcome, frame = advertising.answer_router(prepared(**changed), bytes(packet), mac)
    assert (frame is not None) == outcome.answered
    return outcome


def advertisement(site: dict[str, Any] | None = None, **changed: Any) -> Any:
    return dissected(advertising.unsolicited(prepared(site, **changed)))


def test_the_whole_advertisement() -> None:
    _, frame = advertising.answer_router(prepared(mtu=1400), bytes(guest.router_solicitation()), MAC)
    wanted = (
        guest.Ether(src=guest.ROUTER_MAC_TEXT, dst=guest.MAC_TEXT)
        / header(guest.ROUTER, guest.GUEST)
        / inet6.ICMPv6ND_RA(chlim=64, M=1, O=1, prf=0, routerlifetime=900, reachabletime=0, retranstimer=0)
        / inet6.ICMPv6NDOptPrefixInfo(
            prefix="2001:db8:7::", prefixlen=64, L=1, A=0, R=0, validlifetime=80000, preferredlifetime=60000
        )
        / inet6.ICMPv6NDOptRDNSS(dns=["2001:db8::53", "2001:db8::54"], lifetime=900)
        / inet6.ICMPv6NDOptDNSSL(searchlist=["example.com.", "example.net."], lifetime=900)
        / inet6.ICMPv6NDOptSrcLLAddr(lladdr=guest.ROUTER_MAC_TEXT)
        / inet6.ICMPv6NDOptMTU(mtu=1400)
    )
    assert frame == bytes(wanted)


def test_it_goes_to_the_asker() -> None:
    source = "fe80::1234"
    outcome, frame = advertising.answer_router(prepared(), bytes(guest.router_solicitation(source)), MAC)
    found = dissected(frame)
    assert outcome is outcomes.ROUTER_ADVERTISED
    assert (found.dst, found[inet6.IPv6].dst, found[inet6.IPv6].hlim) == (guest.MAC_TEXT, source, 255)


def test_it_goes_to_all_when_the_asker_has_no_address_yet() -> None:
    """RFC 4861, 6.2.6."""
    packet = guest.router_solicitation(guest.UNSPECIFIED, None)
    outcome, frame = advertising.answer_router(prepared(), bytes(packet), MAC)
    assert (outcome, frame) == (outcomes.ROUTER_ADVERTISED, advertising.unsolicited(prepared()))


def test_the_unsolicited_one_goes_to_all_nodes() -> None:
    found = advertisement()
    assert (found.dst, found[inet6.IPv6].dst) == (guest.ALL_NODES_MAC, guest.ALL_NODES)


@pytest.mark.parametrize(
    ("mode", "managed", "other", "autonomous"),
    [("slaac", 0, 0, 1), ("slaac+dhcpv6", 0, 1, 1), ("dhcpv6", 1, 1, 0)],
)
def test_the_mode_sets_the_flags(mode: str, managed: int, other: int, autonomous: int) -> None:
    found = advertisement({"mode": mode})
    flags = found[inet6.ICMPv6ND_RA]
    assert (flags.M, flags.O, flags.H, flags.prf, flags.P, flags.res) == (managed, other, 0, 0, 0, 0)
    prefix = found[inet6.ICMPv6NDOptPrefixInfo]
    assert (prefix.A, prefix.L, prefix.R, prefix.res1) == (autonomous, 1, 0, 0)


def test_no_guest_can_make_an_address_of_another_length_of_prefix() -> None:
    found = advertisement({"mode": "slaac"}, subnet6=IPv6Network("2001:db8:7::/80"))[inet6.ICMPv6NDOptPrefixInfo]
    assert (found.A, found.L, found.prefixlen) == (0, 1, 80)


@pytest.mark.parametrize(
    ("site", "changed", "lifetime"),
    [
        ({"ra_period": 300}, {}, 900),
        ({"ra_period": 3600}, {}, 9000),
        ({"ra_period": 300}, {"private": True}, 0),
    ],
)
def test_router_lifetime(site: dict[str, Any], changed: dict[str, Any], lifetime: int) -> None:
    """RFC 4861, 6.2.1; of 0: no default router."""
    assert advertisement(site, **changed)[inet6.ICMPv6ND_RA].routerlifetime == lifetime


@pytest.mark.parametrize(
    ("changed", "valid", "preferred"),
    [
        ({"lease_time": 40000}, 40000, 30000),
        ({"lease_time": 60}, 900, 675),
        ({"lease_time": 0xFFFFFFFF}, 0xFFFFFFFF, 0xFFFFFFFF),
    ],
)
def test_lifetimes_of_the_prefix(changed: dict[str, Any], valid: int, preferred: int) -> None:
    """Never so short that the loss of two advertisements would take the guest's address away."""
    found = advertisement(**changed)[inet6.ICMPv6NDOptPrefixInfo]
    assert (found.validlifetime, found.preferredlifetime) == (valid, preferred)


@pytest.mark.parametrize(("mtu", "told"), [(None, False), (1279, False), (1280, True), (9000, True)])
def test_an_mtu_that_ipv6_cannot_have_is_not_told(mtu: int | None, told: bool) -> None:
    found = advertisement(mtu=mtu)
    assert (inet6.ICMPv6NDOptMTU in found) == told
    assert not told or found[inet6.ICMPv6NDOptMTU].mtu == mtu


def test_servers_of_the_binding_come_before_those_of_the_site() -> None:
    servers = (IPv4Address("192.0.2.53"), IPv6Address("2001:db8::99"))
    found = advertisement(nameservers=servers, search_domains=("example.org",))
    assert found[inet6.ICMPv6NDOptRDNSS].dns == ["2001:db8::99"]
    assert found[inet6.ICMPv6NDOptDNSSL].searchlist == ["example.org."]


def test_nothing_is_said_of_servers_that_nobody_named() -> None:
    found = advertisement({"nameservers": (), "search_domains": ()})
    assert inet6.ICMPv6NDOptRDNSS not in found
    assert inet6.ICMPv6NDOptDNSSL not in found


def test_an_advertisement_is_never_larger_than_any_link_takes() -> None:
    """RFC 6980: it must not be fragmented."""
    many = tuple(IPv6Address(number) for number in range(1 << 125, (1 << 125) + 100))
    domains = tuple(f"{number}.example.com" for number in range(200))
    frame = advertising.unsolicited(prepared(nameservers=many, search_domains=domains, mtu=1500))
    assert len(frame) <= 14 + 1280
    assert len(dissected(frame)[inet6.ICMPv6NDOptRDNSS].dns) == 8


def test_a_link_local_gateway_is_the_router() -> None:
    assert advertisement(gateway6=IPv6Address("fe80::1"))[inet6.IPv6].src == "fe80::1"
    assert advertisement(gateway6=None)[inet6.IPv6].src == guest.ROUTER


@pytest.mark.parametrize(("site", "changed"), [({}, {"subnet6": None}), ({"enabled": False}, {})])
def test_without_ipv6_nothing_is_prepared(site: dict[str, Any], changed: dict[str, Any]) -> None:
    assert advertising.prepare(BINDING._replace(**changed), SITE._replace(**site), ROUTER_MAC) is None


def test_the_asker_names_the_address_that_it_sends_from() -> None:
    other = guest.router_solicitation(mac="aa:00:00:00:00:99")
    assert outcome_of(other) is outcomes.ROUTER_WRONG_LINK_LAYER_ADDRESS
    assert outcome_of(other, macspoof=True) is outcomes.ROUTER_ADVERTISED
    assert outcome_of(guest.router_solicitation(mac=None)) is outcomes.ROUTER_ADVERTISED


def test_without_an_address_it_may_name_none() -> None:
    """RFC 4861, 6.1.1."""
    packet = guest.router_solicitation(guest.UNSPECIFIED)
    assert outcome_of(packet) is outcomes.ROUTER_WRONG_LINK_LAYER_ADDRESS


def with_options(data: bytes) -> Any:
    return header() / inet6.ICMPv6Unknown(type=133, code=0, msgbody=bytes(4) + data)


MALFORMED = [
    (header() / inet6.ICMPv6Unknown(type=133, code=1, msgbody=bytes(4)), "other_type"),
    (guest.neighbour_solicitation(guest.GATEWAY), "other_type"),
    (header() / inet6.ICMPv6Unknown(type=133, code=0, msgbody=bytes(3)), "bad_length"),
    (with_options(bytes(8)), "bad_option"),
    (with_options(b"\1\1" + bytes(5)), "bad_option"),
    (with_options(b"\1\2" + bytes(6)), "bad_option"),
    (with_options(b"\x0e\1" + bytes(6) + b"\0"), "bad_option"),
    (with_options(b"\1\2" + MAC + bytes(8)), "wrong_link_layer_address"),
    (with_options(b"\1\1" + MAC + b"\1\1" + ROUTER_MAC), "wrong_link_layer_address"),
]


@pytest.mark.parametrize(("packet", "name"), MALFORMED)
def test_a_malformed_one_is_not_answered(packet: Any, name: str) -> None:
    outcome = outcome_of(packet)
    assert (outcome.name, outcome.protocol, outcome.answered) == (name, "rs", False)


def test_unknown_options_are_passed_over() -> None:
    assert outcome_of(with_options(b"\xfe\2" + bytes(14))) is outcomes.ROUTER_ADVERTISED
    assert outcome_of(with_options(b"\1\1" + MAC + b"\xfe\1" + bytes(6))) is outcomes.ROUTER_ADVERTISED


def test_wrong_packets_do_no_harm() -> None:
    counts = shown(rs.TARGET, seed=1, number=10_000)
    assert counts.total() == 10_000
    assert {"advertised", "other_type", "wrong_link_layer_address"} <= set(counts)
    assert {"truncated", "bad_length", "bad_checksum", "bad_option", "forwarded"} <= set(counts)


def test_every_outcome_is_there_once() -> None:
    named = [(each.protocol, each.name) for each in outcomes.OUTCOMES]
    assert len(named) == len(set(named))
    defined = {each for each in vars(outcomes).values() if isinstance(each, Outcome)}
    assert defined <= set(outcomes.OUTCOMES)
