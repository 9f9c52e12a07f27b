# SPDX-License-Identifier: BSD-2-Clause
"""What no DHCPv6 client sends."""

from __future__ import annotations

import random
from typing import Any

import pytest
from scapy.packet import Raw

from nfdhcpd.dhcp6 import answering, outcomes
from nfdhcpd.outcome import Outcome
from tests.unit import nfdhcpd_ipv6 as guest
from tests.unit.nfdhcpd_dhcp6 import CLIENT, IDENTIFIED, OTHER, OURS, RAPID, heard, na, pd, prepared, ta, wanting
from tests.unit.nfdhcpd_ipv6 import ADDRESS, MAC, UDP, client_message, dhcp6, header, inet6

SOLICIT = dhcp6.DHCP6_Solicit(trid=7)


def payload(data: bytes) -> Any:
    return header(guest.GUEST, guest.ALL_SERVERS) / UDP(sport=546, dport=547) / Raw(data)


MALFORMED = [
    (payload(b""), "bad_length"),
    (payload(b"\1\0\0"), "bad_length"),
    (payload(b"\0\0\0\7"), "unknown_type"),
    (payload(b"\1\0\0\7\0"), "bad_option"),
    (payload(b"\1\0\0\7\0\1\0\x0a" + CLIENT[:-1]), "bad_option"),
    (client_message(SOLICIT, IDENTIFIED, IDENTIFIED, na()), "bad_option"),
    (client_message(SOLICIT, IDENTIFIED, na(), source=guest.UNSPECIFIED), "bad_source"),
    (client_message(SOLICIT, IDENTIFIED, na(), source="ff02::1"), "bad_source"),
    (client_message(SOLICIT, IDENTIFIED, na(), source="::1"), "bad_source"),
    (header() / UDP(sport=547, dport=546) / SOLICIT, "wrong_port"),
    (header() / inet6.IPv6ExtHdrHopByHop() / UDP(sport=546, dport=547) / SOLICIT, "extension_header"),
    (header() / inet6.IPv6ExtHdrFragment() / UDP(sport=546, dport=547) / SOLICIT, "fragment"),
    (guest.router_solicitation(), "other_protocol"),
    (b"", "truncated"),
]


@pytest.mark.parametrize(("packet", "name"), MALFORMED)
def test_a_malformed_message_is_not_answered(packet: Any, name: str) -> None:
    assert heard(prepared(), packet).outcome is {each.name: each for each in outcomes.OUTCOMES}[name]


def test_every_outcome_is_there_once() -> None:
    named = [(each.protocol, each.name) for each in outcomes.OUTCOMES]
    assert len(named) == len(set(named))
    defined = {each for each in vars(outcomes).values() if isinstance(each, Outcome)}
    assert defined <= set(outcomes.OUTCOMES)


def test_the_largest_answer_fits_into_a_frame() -> None:
    """With the longest identifiers, as many servers as are told, and as much as is looked at."""
    duid = b"\0\2" + bytes(128)
    site = {"duid": duid, "nameservers": (guest.SITE.nameservers * 8), "search_domains": ("a" * 60,) * 9}
    mine = prepared(site, ntp_servers=guest.SITE.nameservers)
    identified, chosen = dhcp6.DHCP6OptClientId(duid=duid), dhcp6.DHCP6OptServerId(duid=duid)
    for associations in ([na(*[OTHER] * 15)], [na(number=each) for each in range(8)]):
        packet = client_message(dhcp6.DHCP6_Renew(trid=7), identified, chosen, wanting(23, 24, 56), *associations)
        outcome, frame = answering.answer(mine, bytes(packet), MAC)
        assert outcome is outcomes.REPLY_RENEW
        assert frame is not None
        assert len(frame) <= 14 + 1500


def seeds() -> list[bytes]:
    """Messages of every type that reach everything behind the checks."""
    everything = [wanting(23, 24, 32, 56), na(ADDRESS), na(OTHER, number=9), ta(OTHER), pd("2001:db8:9000::/52")]
    chosen = [dhcp6.DHCP6_Request, dhcp6.DHCP6_Renew, dhcp6.DHCP6_Release, dhcp6.DHCP6_Decline]
    to_all = [dhcp6.DHCP6_Solicit, dhcp6.DHCP6_Confirm, dhcp6.DHCP6_Rebind]
    return [
        *(bytes(client_message(kind(), IDENTIFIED, OURS, *everything)) for kind in chosen),
        *(bytes(client_message(kind(), IDENTIFIED, OURS, destination=guest.ROUTER)) for kind in chosen),
        *(bytes(client_message(kind(), IDENTIFIED, RAPID, *everything)) for kind in to_all),
        bytes(client_message(dhcp6.DHCP6_InfoRequest(), wanting(23, 24, 32, 56))),
    ]


def test_whatever_comes_has_one_outcome() -> None:
    """And an answer that is whole, or none."""
    rng = random.Random(13)
    mine = prepared()
    seen = set()
    for datagram in guest.mutations(rng, seeds(), 20000):
        outcome, frame = answering.answer(mine, datagram, MAC)
        seen.add(outcome)
        assert frame is None or guest.is_whole(frame)
        assert (frame is not None) == outcome.answered
    assert seen <= set(outcomes.OUTCOMES)
    assert len(seen) > 25
