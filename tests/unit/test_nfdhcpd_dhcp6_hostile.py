# SPDX-License-Identifier: BSD-2-Clause
"""What no DHCPv6 client sends."""

from __future__ import annotations

from typing import Any

import pytest
from scapy.packet import Raw

from nfdhcpd.dhcp6 import answering, outcomes
from nfdhcpd.packets.outcome import Outcome
from tests.fuzz import dhcp6 as fuzzed
from tests.fuzz.decoders import shown
from tests.unit import nfdhcpd_ipv6 as guest
from tests.unit.nfdhcpd_dhcp6 import CLIENT, IDENTIFIED, OTHER, heard, na, prepared, wanting
from tests.unit.nfdhcpd_ipv6 import MAC, UDP, client_message, dhcp6, header, inet6

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


def test_wrong_packets_do_no_harm() -> None:
    counts = shown(fuzzed.TARGET, seed=1, number=10_000)
    assert counts.total() == 10_000
    assert {each.name for each in outcomes.OUTCOMES if each.answered} <= set(counts)
    assert {"truncated", "bad_length", "bad_checksum", "bad_option", "no_client", "other_server"} <= set(counts)
