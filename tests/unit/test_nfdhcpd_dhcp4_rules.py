# SPDX-License-Identifier: BSD-2-Clause
"""What a DHCPv4 server has to do, rule by rule."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from nfdhcpd.dhcp4 import answering
from nfdhcpd.dhcp4.outcomes import OUTCOMES
from tests.unit.dhcp4_ears import Heard, hear, say
from tests.unit.dhcp4_guest import (
    ADDRESS,
    BINDING,
    DECLINE,
    DISCOVER,
    EVERYWHERE,
    INFORM,
    MAC,
    NOWHERE,
    OTHER_ADDRESS,
    RELEASE,
    REQUEST,
    ROUTER_MAC,
    SERVER,
    SITE,
    Fixed,
    asks_for,
    at,
    datagram,
    message,
    option,
    prepared,
    wants,
)

OURS = str(ADDRESS)
GUEST = "52:54:00:aa:bb:01"
ROUTER = "fe:54:00:aa:bb:01"
EVERYBODY = "ff:ff:ff:ff:ff:ff"
RAPID_COMMIT = option(80)
TIMES = {"lease_time": 7200, "renewal_time": 600, "rebinding_time": 6300}


def mine(**fields: Any) -> Fixed:
    return Fixed()._replace(**fields)


def addresses(heard: Heard) -> tuple[str, str, str, str]:
    """ciaddr, yiaddr, siaddr, giaddr."""
    return heard.bootp.ciaddr, heard.bootp.yiaddr, heard.bootp.siaddr, heard.bootp.giaddr


def test_a_binding_without_address_gets_no_answers() -> None:
    assert answering.prepare(BINDING._replace(ip=None), SITE, ROUTER_MAC) is None


def test_a_discover_is_answered_by_an_offer() -> None:
    heard = say(message(DISCOVER, asks_for(1, 3)))
    assert heard.outcome == "offer"
    assert heard.options == {
        "message-type": 2,
        "server_id": str(SERVER),
        **TIMES,
        "subnet_mask": "255.255.255.0",
        "router": "198.51.100.1",
    }
    assert addresses(heard) == (NOWHERE, OURS, NOWHERE, NOWHERE)


def test_the_fixed_part_of_an_answer_is_that_of_table_3() -> None:
    bootp = say(message(DISCOVER, fixed=mine(xid=0xFEDCBA98, secs=77, flags=0x8000))).bootp
    found = (bootp.op, bootp.htype, bootp.hlen, bootp.hops, bootp.xid, bootp.secs, int(bootp.flags))
    assert found == (2, 1, 6, 0, 0xFEDCBA98, 0, 0x8000)
    assert (bootp.chaddr, bootp.sname, bootp.file) == (MAC.ljust(16, b"\0"), bytes(64), bytes(128))


def test_reserved_flags_are_not_sent_back() -> None:
    assert int(say(message(DISCOVER, fixed=mine(flags=0x7FFF))).bootp.flags) == 0


def test_an_offer_does_not_depend_on_the_address_that_the_client_would_like() -> None:
    heard = say(message(DISCOVER, wants(OTHER_ADDRESS), fixed=mine(ciaddr=OTHER_ADDRESS.packed)))
    assert (heard.outcome, addresses(heard)) == ("offer", (NOWHERE, OURS, NOWHERE, NOWHERE))
    assert heard.ip == (str(SERVER), OURS)


def test_a_server_identifier_in_a_discover_means_nothing() -> None:
    assert say(message(DISCOVER, at(OTHER_ADDRESS))).outcome == "offer"


def test_selecting_this_server_is_acknowledged() -> None:
    heard = say(message(REQUEST, at(), wants(ADDRESS), asks_for(51)))
    assert (heard.outcome, addresses(heard)) == ("ack", (NOWHERE, OURS, NOWHERE, NOWHERE))
    assert heard.options == {"message-type": 5, "server_id": str(SERVER), **TIMES}


def test_selecting_another_server_is_silence() -> None:
    assert say(message(REQUEST, at(OTHER_ADDRESS), wants(ADDRESS))).outcome == "other_server"


def test_selecting_another_address_is_refused() -> None:
    assert say(message(REQUEST, at(), wants(OTHER_ADDRESS))).outcome == "nak"


def test_init_reboot_with_the_right_address_is_acknowledged() -> None:
    heard = say(message(REQUEST, wants(ADDRESS)))
    assert (heard.outcome, heard.ip) == ("ack", (str(SERVER), OURS))


def test_init_reboot_with_a_wrong_address_is_refused() -> None:
    assert say(message(REQUEST, wants(OTHER_ADDRESS))).outcome == "nak"


def test_a_request_for_no_address_is_silence() -> None:
    assert say(message(REQUEST)).outcome == "no_address"


@pytest.mark.parametrize("destination", [str(SERVER), EVERYWHERE], ids=["renewing", "rebinding"])
def test_a_lease_is_renewed_by_unicast(destination: str) -> None:
    renewal = message(REQUEST, fixed=mine(ciaddr=ADDRESS.packed, flags=0x8000))
    heard = hear(prepared(), datagram(renewal, OURS, destination))
    assert (heard.outcome, addresses(heard)) == ("ack", (OURS, OURS, NOWHERE, NOWHERE))
    assert (heard.ethernet, heard.ip) == ((GUEST, ROUTER), (str(SERVER), OURS))
    assert TIMES.items() <= heard.options.items()


@pytest.mark.parametrize("destination", [str(SERVER), EVERYWHERE], ids=["renewing", "rebinding"])
def test_a_lease_of_another_address_is_not_renewed(destination: str) -> None:
    renewal = message(REQUEST, fixed=mine(ciaddr=OTHER_ADDRESS.packed))
    heard = hear(prepared(), datagram(renewal, str(OTHER_ADDRESS), destination))
    assert (heard.outcome, addresses(heard)) == ("nak", (NOWHERE,) * 4)


@pytest.mark.parametrize(("ciaddr", "wanted"), [(ADDRESS, OTHER_ADDRESS), (OTHER_ADDRESS, ADDRESS)])
def test_a_client_that_names_two_addresses_is_refused_for_either(ciaddr: IPv4Address, wanted: IPv4Address) -> None:
    assert say(message(REQUEST, wants(wanted), fixed=mine(ciaddr=ciaddr.packed))).outcome == "nak"


@pytest.mark.parametrize("flags", [0, 0x8000])
def test_a_refusal_goes_to_everybody_and_says_why(flags: int) -> None:
    heard = say(message(REQUEST, wants(OTHER_ADDRESS), asks_for(1, 3, 51, 58), fixed=mine(flags=flags)))
    assert (heard.ethernet, heard.ip) == ((EVERYBODY, ROUTER), (str(SERVER), EVERYWHERE))
    assert heard.options == {
        "message-type": 6,
        "server_id": str(SERVER),
        "error_message": b"this is not the address of this interface",
    }


def test_who_can_take_a_unicast_gets_one() -> None:
    heard = say(message(DISCOVER))
    assert (heard.ethernet, heard.ip) == ((GUEST, ROUTER), (str(SERVER), OURS))


@pytest.mark.parametrize("kind", [message(DISCOVER, fixed=mine(flags=0x8000))], ids=["discover"])
def test_who_cannot_take_a_unicast_gets_a_broadcast(kind: bytes) -> None:
    heard = say(kind)
    assert (heard.ethernet, heard.ip) == ((EVERYBODY, ROUTER), (str(SERVER), EVERYWHERE))
    assert addresses(heard) == (NOWHERE, OURS, NOWHERE, NOWHERE)


def test_a_request_with_the_broadcast_flag_gets_a_broadcast() -> None:
    heard = say(message(REQUEST, at(), wants(ADDRESS), fixed=mine(flags=0x8000)))
    assert (heard.outcome, heard.ethernet, heard.ip[1]) == ("ack", (EVERYBODY, ROUTER), EVERYWHERE)


def test_an_inform_is_answered_without_a_lease() -> None:
    heard = say(message(INFORM, asks_for(51, 58, 59, 6), fixed=mine(ciaddr=OTHER_ADDRESS.packed)))
    assert heard.options == {
        "message-type": 5,
        "server_id": str(SERVER),
        "name_server": ("192.0.2.53", "192.0.2.54"),
    }
    assert (heard.outcome, addresses(heard)) == ("ack_inform", (str(OTHER_ADDRESS), NOWHERE, NOWHERE, NOWHERE))
    assert (heard.ethernet, heard.ip) == ((GUEST, ROUTER), (str(SERVER), str(OTHER_ADDRESS)))


def test_an_inform_from_nowhere_is_answered_by_broadcast() -> None:
    heard = say(message(INFORM))
    assert (heard.outcome, heard.ethernet[0], heard.ip[1]) == ("ack_inform", EVERYBODY, EVERYWHERE)


@pytest.mark.parametrize(("kind", "outcome"), [(RELEASE, "release"), (DECLINE, "decline")])
@pytest.mark.parametrize("options", [(at(),), ()], ids=["to this server", "to nobody"])
def test_the_end_of_a_lease_is_heard_and_not_answered(kind: int, outcome: str, options: tuple[bytes, ...]) -> None:
    assert say(message(kind, *options, wants(ADDRESS))).outcome == outcome


@pytest.mark.parametrize("kind", [RELEASE, DECLINE])
def test_the_end_of_a_lease_of_another_server_is_not_ours(kind: int) -> None:
    assert say(message(kind, at(OTHER_ADDRESS))).outcome == "other_server"


def test_rapid_commit_makes_a_lease_of_a_discover() -> None:
    heard = say(message(DISCOVER, RAPID_COMMIT, asks_for(1)))
    assert (heard.outcome, addresses(heard)) == ("ack_rapid_commit", (NOWHERE, OURS, NOWHERE, NOWHERE))
    assert RAPID_COMMIT in bytes(heard.bootp.payload)
    # Later releases of scapy have a name for it, earlier ones only the number.
    told = {name: value for name, value in heard.options.items() if name not in {80, "rapid_commit"}}
    assert told == {"message-type": 5, "server_id": str(SERVER), **TIMES, "subnet_mask": "255.255.255.0"}


def test_rapid_commit_in_a_request_means_nothing() -> None:
    heard = say(message(REQUEST, RAPID_COMMIT, wants(ADDRESS)))
    assert (heard.outcome, RAPID_COMMIT in bytes(heard.bootp.payload)) == ("ack", False)


IDENTIFIER = option(61, b"\xff\x00\x01\x02\x03")


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        (message(DISCOVER, IDENTIFIER), "offer"),
        (message(DISCOVER, IDENTIFIER, RAPID_COMMIT), "ack_rapid_commit"),
        (message(REQUEST, IDENTIFIER, wants(ADDRESS)), "ack"),
        (message(REQUEST, IDENTIFIER, wants(OTHER_ADDRESS)), "nak"),
        (message(INFORM, IDENTIFIER), "ack_inform"),
    ],
)
def test_every_answer_brings_the_client_identifier_back(payload: bytes, outcome: str) -> None:
    heard = say(payload)
    assert (heard.outcome, heard.options["client_id"]) == (outcome, b"\xff\x00\x01\x02\x03")


def test_a_forged_relay_agent_information_is_not_sent_back() -> None:
    assert "relay_agent_information" not in say(message(DISCOVER, option(82, b"\x01\x01x"), asks_for(82))).options


def test_each_try_gets_its_own_transaction_id() -> None:
    kept = prepared()
    for number, xid in enumerate([1, 0, 0xFFFFFFFF, 0xFFFF0000, 0x0000FFFF, 0x12345678]):
        first = hear(kept, datagram(message(DISCOVER, fixed=mine(xid=xid, secs=number))))
        other = hear(kept, datagram(message(REQUEST, wants(ADDRESS), fixed=mine(xid=xid ^ 1, secs=number))))
        assert (first.outcome, first.bootp.xid) == ("offer", xid)
        assert (other.outcome, other.bootp.xid) == ("ack", xid ^ 1)


def test_a_guest_that_may_use_any_mac_is_answered_at_the_one_it_uses() -> None:
    inner = bytes.fromhex("525400999999")
    kept = prepared(BINDING._replace(macspoof=True))
    packet = datagram(message(DISCOVER, fixed=mine(chaddr=inner)))
    heard = hear(kept, packet, inner)
    assert (heard.ethernet[0], heard.bootp.chaddr[:6]) == ("52:54:00:99:99:99", inner)
    assert hear(kept, packet, MAC).outcome == "wrong_hardware_address"


def test_the_server_is_the_gateway_where_the_site_wants_it_on_the_link() -> None:
    binding = BINDING._replace(gateway=IPv4Address("198.51.100.254"))
    heard = say(message(DISCOVER), binding, SITE._replace(server_on_link=True))
    assert (heard.options["server_id"], heard.ip[0]) == ("198.51.100.254", "198.51.100.254")


@pytest.mark.parametrize(
    ("subnet", "server"),
    [
        pytest.param("198.51.100.0/24", "198.51.100.1", id="the first address"),
        pytest.param("198.51.100.5/32", str(SERVER), id="no other address"),
        pytest.param("198.51.100.4/30", str(SERVER), id="the guest's own"),
        pytest.param(None, str(SERVER), id="no subnet"),
    ],
)
def test_without_a_gateway_the_first_address_is_the_server_on_the_link(subnet: str | None, server: str) -> None:
    network = None if subnet is None else IPv4Network(subnet)
    binding = BINDING._replace(gateway=None, subnet=network)
    assert say(message(DISCOVER), binding, SITE._replace(server_on_link=True)).options["server_id"] == server


def test_every_outcome_has_its_own_name() -> None:
    assert len({outcome.name for outcome in OUTCOMES}) == len(OUTCOMES) == 22
    assert {outcome.protocol for outcome in OUTCOMES} == {"dhcp4"}
    assert {outcome.name for outcome in OUTCOMES if outcome.answered} == {
        *("offer", "ack", "ack_rapid_commit", "ack_inform", "nak")
    }
