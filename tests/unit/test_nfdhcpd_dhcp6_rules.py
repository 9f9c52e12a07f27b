# SPDX-License-Identifier: BSD-2-Clause
"""What a DHCPv6 server answers (RFC 8415, 18.3), and which messages it discards (16)."""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network
from typing import Any

import pytest

from nfdhcpd.dhcp6 import answering, outcomes
from nfdhcpd.packets.outcome import Outcome
from tests.unit import nfdhcpd_ipv6 as guest
from tests.unit.nfdhcpd_dhcp6 import (
    FOREIGN,
    IDENTIFIED,
    OTHER,
    OURS,
    RAPID,
    THEIRS,
    Told,
    ask,
    header_of,
    na,
    pd,
    ta,
    wanting,
)
from tests.unit.nfdhcpd_ipv6 import ADDRESS, dhcp6

SOLICIT = dhcp6.DHCP6_Solicit(trid=0x123456)
REQUEST = dhcp6.DHCP6_Request(trid=0x123456)
CONFIRM = dhcp6.DHCP6_Confirm(trid=0x123456)
RENEW = dhcp6.DHCP6_Renew(trid=0x123456)
REBIND = dhcp6.DHCP6_Rebind(trid=0x123456)
RELEASE = dhcp6.DHCP6_Release(trid=0x123456)
DECLINE = dhcp6.DHCP6_Decline(trid=0x123456)
INFORMATION = dhcp6.DHCP6_InfoRequest(trid=0x123456)

LEASE = (ADDRESS, 60000, 80000)
TIMES = (3600, 48000)
GRANTED = Told("IA_NA", 1, (LEASE,), TIMES)

CLIENT_IDENTIFIER, SERVER_IDENTIFIER, IA_NA, PREFERENCE, STATUS, RAPID_COMMIT = 1, 2, 3, 7, 13, 14
DNS, DOMAINS, REFRESH_TIME, NTP = 23, 24, 32, 56
NO_ADDRESSES, NO_BINDING, NOT_ON_LINK, USE_MULTICAST, NO_PREFIX = 2, 3, 4, 5, 6


def test_solicit_is_answered_with_the_address_of_the_binding() -> None:
    answer = ask(SOLICIT, IDENTIFIED, wanting(DNS, DOMAINS), na())
    assert answer.outcome is outcomes.ADVERTISE
    assert (type(answer.message), answer.message.trid) == (dhcp6.DHCP6_Advertise, 0x123456)
    assert answer.codes == [CLIENT_IDENTIFIER, SERVER_IDENTIFIER, PREFERENCE, IA_NA, DNS, DOMAINS]
    assert bytes(answer.packet[dhcp6.DHCP6OptClientId].duid) == bytes(IDENTIFIED.duid)
    assert bytes(answer.packet[dhcp6.DHCP6OptServerId].duid) == guest.DUID
    assert answer.packet[dhcp6.DHCP6OptPref].prefval == 255
    assert answer.told == [GRANTED]


@pytest.mark.parametrize(("message", "had"), [(REQUEST, []), (RENEW, []), (RENEW, [OTHER])])
def test_every_byte_of_a_reply(message: Any, had: list[str]) -> None:
    leases = [(ADDRESS, 60000, 80000), *((each, 0, 0) for each in had)]
    inner = [dhcp6.DHCP6OptIAAddress(addr=name, preflft=first, validlft=last) for name, first, last in leases]
    wanted = dhcp6.DHCP6_Reply(trid=0x123456) / IDENTIFIED / OURS
    wanted /= dhcp6.DHCP6OptIA_NA(iaid=1, T1=3600, T2=48000, ianaopts=inner)
    wanted /= dhcp6.DHCP6OptDNSServers(dnsservers=["2001:db8::53", "2001:db8::54"])
    wanted /= dhcp6.DHCP6OptDNSDomains(dnsdomains=["example.com.", "example.net."])
    answer = ask(message, IDENTIFIED, OURS, wanting(DNS, DOMAINS), na(*had))
    assert bytes(answer.message) == bytes(wanted)


def test_the_answer_goes_to_the_asker_from_the_router() -> None:
    answer = ask(SOLICIT, IDENTIFIED, na())
    macs = (guest.ROUTER_MAC_TEXT, guest.MAC_TEXT)
    assert header_of(answer.packet) == (*macs, guest.ROUTER, guest.GUEST, 547, 546)


def test_the_address_of_the_binding_comes_before_that_of_the_mac() -> None:
    answer = ask(SOLICIT, IDENTIFIED, na(), ip6=IPv6Address("2001:db8:7::77"))
    assert answer.told == [Told("IA_NA", 1, (("2001:db8:7::77", 60000, 80000),), TIMES)]


def test_addresses_in_a_solicit_are_hints() -> None:
    """18.3.1; here there is only one to give."""
    assert ask(SOLICIT, IDENTIFIED, na(OTHER, FOREIGN)).told == [GRANTED]


def test_rapid_commit() -> None:
    answer = ask(SOLICIT, IDENTIFIED, RAPID, na())
    assert (answer.outcome, type(answer.message)) == (outcomes.REPLY_SOLICIT, dhcp6.DHCP6_Reply)
    assert answer.codes == [CLIENT_IDENTIFIER, SERVER_IDENTIFIER, RAPID_COMMIT, IA_NA]
    assert answer.told == [GRANTED]


def test_nothing_is_committed_when_there_is_nothing() -> None:
    answer = ask(SOLICIT, IDENTIFIED, RAPID, pd())
    assert (answer.outcome, type(answer.message)) == (outcomes.NO_ADDRESS, dhcp6.DHCP6_Advertise)
    assert not answer.has(dhcp6.DHCP6OptRapidCommit)


def test_request() -> None:
    answer = ask(REQUEST, IDENTIFIED, OURS, na(ADDRESS))
    assert (answer.outcome, type(answer.message)) == (outcomes.REPLY_REQUEST, dhcp6.DHCP6_Reply)
    assert answer.codes == [CLIENT_IDENTIFIER, SERVER_IDENTIFIER, IA_NA]
    assert answer.told == [GRANTED]


def test_request_of_another_address_of_the_link_gets_the_right_one() -> None:
    answer = ask(REQUEST, IDENTIFIED, OURS, na(OTHER))
    assert (answer.outcome, answer.told) == (outcomes.REPLY_REQUEST, [GRANTED])


@pytest.mark.parametrize("foreign", [FOREIGN, "2001:db8:7:1::66", "2001:db8:6:ffff:ffff:ffff:ffff:ffff"])
def test_request_of_an_address_of_another_link_is_refused(foreign: str) -> None:
    """18.3.2."""
    answer = ask(REQUEST, IDENTIFIED, OURS, na(ADDRESS, foreign))
    assert (answer.outcome, answer.told) == (outcomes.NOT_ON_LINK, [Told("IA_NA", 1, status=NOT_ON_LINK)])


def test_another_association_of_the_same_request_is_served() -> None:
    answer = ask(REQUEST, IDENTIFIED, OURS, na(FOREIGN, number=7), na())
    assert answer.outcome is outcomes.REPLY_REQUEST
    assert answer.told == [Told("IA_NA", 7, status=NOT_ON_LINK), GRANTED]


@pytest.mark.parametrize("message", [SOLICIT, REQUEST])
def test_only_one_association_can_have_the_address(message: Any) -> None:
    server = [] if message is SOLICIT else [OURS]
    answer = ask(message, IDENTIFIED, *server, na(), na(number=7), ta(), pd())
    assert answer.outcome.name in ("advertise", "reply_request")
    assert answer.told == [
        GRANTED,
        Told("IA_NA", 7, status=NO_ADDRESSES),
        Told("IA_TA", 2, status=NO_ADDRESSES),
        Told("IA_PD", 3, status=NO_PREFIX),
    ]


@pytest.mark.parametrize("message", [SOLICIT, REQUEST, RENEW, REBIND])
def test_the_association_that_has_the_address_keeps_it(message: Any) -> None:
    server = [OURS] if message in (REQUEST, RENEW) else []
    answer = ask(message, IDENTIFIED, *server, na(number=7), na(ADDRESS))
    assert answer.told == [Told("IA_NA", 7, status=NO_ADDRESSES), GRANTED]


@pytest.mark.parametrize("message", [SOLICIT, REQUEST, RENEW, REBIND])
@pytest.mark.parametrize(
    ("association", "status"), [(ta(number=1), NO_ADDRESSES), (pd(number=1), NO_PREFIX)], ids=["ta", "pd"]
)
def test_there_are_no_temporary_addresses_and_no_prefixes(message: Any, association: Any, status: int) -> None:
    server = [OURS] if message in (REQUEST, RENEW) else []
    answer = ask(message, IDENTIFIED, *server, association)
    (found,) = answer.told
    assert (answer.outcome, found.status, found.leases) == (outcomes.NO_ADDRESS, status, ())


def test_a_prefix_is_of_no_link() -> None:
    answer = ask(REQUEST, IDENTIFIED, OURS, pd("2001:db8:9000::/52"))
    assert (answer.outcome, answer.told) == (outcomes.NO_ADDRESS, [Told("IA_PD", 3, status=NO_PREFIX)])


def test_without_an_address_none_is_given() -> None:
    """From a prefix that is longer than 64 no guest can make one."""
    answer = ask(SOLICIT, IDENTIFIED, na(), subnet6=IPv6Network("2001:db8:7::/80"))
    assert (answer.outcome, answer.told) == (outcomes.NO_ADDRESS, [Told("IA_NA", 1, status=NO_ADDRESSES)])


@pytest.mark.parametrize(
    ("message", "server", "outcome"),
    [(RENEW, [OURS], outcomes.REPLY_RENEW), (REBIND, [], outcomes.REPLY_REBIND)],
    ids=["renew", "rebind"],
)
@pytest.mark.parametrize(
    ("had", "wrong"),
    [
        ([ADDRESS], []),
        ([], []),
        ([OTHER], [OTHER]),
        ([OTHER, ADDRESS, FOREIGN], [OTHER, FOREIGN]),
    ],
)
def test_renewing(message: Any, server: list[Any], outcome: Outcome, had: list[str], wrong: list[str]) -> None:
    """18.3.4 and 18.3.5: the address is extended, or given anew; others get lifetimes of 0."""
    answer = ask(message, IDENTIFIED, *server, na(*had))
    assert (answer.outcome, type(answer.message)) == (outcome, dhcp6.DHCP6_Reply)
    assert answer.told == [Told("IA_NA", 1, (LEASE, *((each, 0, 0) for each in wrong)), TIMES)]


def test_renewing_what_was_never_leased() -> None:
    answer = ask(RENEW, IDENTIFIED, OURS, ta(OTHER), pd("2001:db8:9000::/52"))
    assert answer.outcome is outcomes.NO_ADDRESS
    assert answer.told == [Told("IA_TA", 2, ((OTHER, 0, 0),)), Told("IA_PD", 3, (("2001:db8:9000::/52", 0, 0),))]


@pytest.mark.parametrize(
    ("had", "outcome", "status"),
    [
        ([na(ADDRESS)], outcomes.REPLY_CONFIRM, 0),
        ([na(ADDRESS), pd("2001:db8:9000::/52")], outcomes.REPLY_CONFIRM, 0),
        ([na(OTHER)], outcomes.NOT_ON_LINK, NOT_ON_LINK),
        ([na(FOREIGN)], outcomes.NOT_ON_LINK, NOT_ON_LINK),
        ([na(ADDRESS), ta(FOREIGN)], outcomes.NOT_ON_LINK, NOT_ON_LINK),
    ],
)
def test_confirm(had: list[Any], outcome: Outcome, status: int) -> None:
    """18.3.3."""
    answer = ask(CONFIRM, IDENTIFIED, wanting(DNS), *had)
    assert (answer.outcome, type(answer.message), answer.status) == (outcome, dhcp6.DHCP6_Reply, status)
    assert answer.codes == [CLIENT_IDENTIFIER, SERVER_IDENTIFIER, STATUS]


@pytest.mark.parametrize("had", [[], [na()], [pd("2001:db8:9000::/52")]])
def test_confirm_of_no_address_is_not_answered(had: list[Any]) -> None:
    """18.3.3."""
    assert ask(CONFIRM, IDENTIFIED, *had).outcome is outcomes.NOTHING_TO_CONFIRM


@pytest.mark.parametrize(("message", "outcome"), [(RELEASE, outcomes.REPLY_RELEASE), (DECLINE, outcomes.REPLY_DECLINE)])
def test_giving_back(message: Any, outcome: Outcome) -> None:
    """18.3.7 and 18.3.8."""
    answer = ask(message, IDENTIFIED, OURS, wanting(DNS), na(ADDRESS))
    assert (answer.outcome, type(answer.message), answer.status) == (outcome, dhcp6.DHCP6_Reply, 0)
    assert answer.codes == [CLIENT_IDENTIFIER, SERVER_IDENTIFIER, STATUS]


@pytest.mark.parametrize("message", [RELEASE, DECLINE])
def test_giving_back_what_was_never_leased(message: Any) -> None:
    answer = ask(message, IDENTIFIED, OURS, na(OTHER), pd("2001:db8:9000::/52"))
    assert answer.status == 0
    assert answer.told == [Told("IA_NA", 1, status=NO_BINDING), Told("IA_PD", 3, status=NO_BINDING)]


@pytest.mark.parametrize("mode", ["slaac+dhcpv6", "dhcpv6"])
@pytest.mark.parametrize("options", [[], [IDENTIFIED], [OURS]])
def test_information(mode: str, options: list[Any]) -> None:
    """18.3.6; the client may stay unknown."""
    answer = ask(INFORMATION, *options, wanting(DNS, DOMAINS, REFRESH_TIME), site={"mode": mode})
    assert (answer.outcome, type(answer.message)) == (outcomes.REPLY_INFORMATION, dhcp6.DHCP6_Reply)
    client = [CLIENT_IDENTIFIER] if IDENTIFIED in options else []
    assert answer.codes == [*client, SERVER_IDENTIFIER, DNS, DOMAINS, REFRESH_TIME]
    assert answer.packet[dhcp6.DHCP6OptDNSServers].dnsservers == ["2001:db8::53", "2001:db8::54"]
    assert answer.packet[dhcp6.DHCP6OptDNSDomains].dnsdomains == ["example.com.", "example.net."]
    assert answer.packet[dhcp6.DHCP6OptInfoRefreshTime].reftime == 3600


def test_the_refresh_time_is_never_less_than_what_clients_take() -> None:
    """7.6: IRT_MINIMUM."""
    answer = ask(INFORMATION, wanting(REFRESH_TIME), renewal_time=60)
    assert answer.packet[dhcp6.DHCP6OptInfoRefreshTime].reftime == 600


def test_only_information_has_a_refresh_time() -> None:
    assert REFRESH_TIME not in ask(SOLICIT, IDENTIFIED, wanting(REFRESH_TIME), na()).codes


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ([], []),
        ([wanting()], []),
        ([wanting(99)], []),
        ([wanting(DOMAINS)], [DOMAINS]),
        ([wanting(NTP), wanting(DNS)], [DNS, NTP, NTP]),
    ],
)
def test_only_what_is_asked_for_is_told(asked: list[Any], found: list[int]) -> None:
    servers = (IPv6Address("2001:db8::123"), IPv6Address("2001:db8::124"))
    answer = ask(INFORMATION, *asked, ntp_servers=servers)
    assert answer.codes == [SERVER_IDENTIFIER, *found]


def test_time_servers_have_an_option_each() -> None:
    """RFC 5908, 4."""
    servers = (IPv6Address("2001:db8::123"), IPv6Address("2001:db8::124"))
    answer = ask(INFORMATION, wanting(NTP), ntp_servers=servers)
    wanted = b"".join(b"\0\x38\0\x14\0\1\0\x10" + each.packed for each in servers)
    assert bytes(answer.message).endswith(wanted)


def test_what_nobody_named_is_not_told() -> None:
    site = {"nameservers": (), "search_domains": ()}
    assert ask(INFORMATION, wanting(DNS, DOMAINS, NTP), site=site).codes == [SERVER_IDENTIFIER]


def test_servers_and_domains_of_the_binding_come_before_those_of_the_site() -> None:
    changed: dict[str, Any] = {"nameservers": (IPv6Address("2001:db8::99"),), "domain": "example.org"}
    answer = ask(INFORMATION, wanting(DNS, DOMAINS), **changed)
    assert answer.packet[dhcp6.DHCP6OptDNSServers].dnsservers == ["2001:db8::99"]
    assert answer.packet[dhcp6.DHCP6OptDNSDomains].dnsdomains == ["example.org."]


DISCARDED = [
    ("16.2", SOLICIT, [na()], outcomes.NO_CLIENT),
    ("16.2", SOLICIT, [IDENTIFIED, OURS, na()], outcomes.OTHER_SERVER),
    ("16.3", dhcp6.DHCP6_Advertise(), [IDENTIFIED, OURS, na()], outcomes.UNKNOWN_TYPE),
    ("16.4", REQUEST, [OURS, na()], outcomes.NO_CLIENT),
    ("16.4", REQUEST, [IDENTIFIED, na()], outcomes.NO_SERVER),
    ("16.4", REQUEST, [IDENTIFIED, THEIRS, na()], outcomes.OTHER_SERVER),
    ("16.5", CONFIRM, [na(ADDRESS)], outcomes.NO_CLIENT),
    ("16.5", CONFIRM, [IDENTIFIED, OURS, na(ADDRESS)], outcomes.OTHER_SERVER),
    ("16.6", RENEW, [OURS, na()], outcomes.NO_CLIENT),
    ("16.6", RENEW, [IDENTIFIED, na()], outcomes.NO_SERVER),
    ("16.6", RENEW, [IDENTIFIED, THEIRS, na()], outcomes.OTHER_SERVER),
    ("16.7", REBIND, [na()], outcomes.NO_CLIENT),
    ("16.7", REBIND, [IDENTIFIED, OURS, na()], outcomes.OTHER_SERVER),
    ("16.8", DECLINE, [OURS, na()], outcomes.NO_CLIENT),
    ("16.8", DECLINE, [IDENTIFIED, na()], outcomes.NO_SERVER),
    ("16.8", DECLINE, [IDENTIFIED, THEIRS, na()], outcomes.OTHER_SERVER),
    ("16.9", RELEASE, [OURS, na()], outcomes.NO_CLIENT),
    ("16.9", RELEASE, [IDENTIFIED, na()], outcomes.NO_SERVER),
    ("16.9", RELEASE, [IDENTIFIED, THEIRS, na()], outcomes.OTHER_SERVER),
    ("16.10", dhcp6.DHCP6_Reply(), [IDENTIFIED, OURS, na()], outcomes.UNKNOWN_TYPE),
    ("16.11", dhcp6.DHCP6_Reconf(), [IDENTIFIED, OURS], outcomes.UNKNOWN_TYPE),
    ("16.12", INFORMATION, [IDENTIFIED, THEIRS], outcomes.OTHER_SERVER),
    ("16.12", INFORMATION, [IDENTIFIED, na()], outcomes.UNEXPECTED_OPTION),
    ("16.12", INFORMATION, [IDENTIFIED, pd()], outcomes.UNEXPECTED_OPTION),
    ("16.13", dhcp6.DHCP6_RelayForward(), [IDENTIFIED], outcomes.RELAY),
    ("16.14", dhcp6.DHCP6_RelayReply(), [IDENTIFIED], outcomes.RELAY),
    ("16", SOLICIT.__class__(msgtype=200), [IDENTIFIED], outcomes.UNKNOWN_TYPE),
    ("size", SOLICIT, [IDENTIFIED, *(na(number=each) for each in range(17))], outcomes.TOO_MANY),
    ("size", SOLICIT, [IDENTIFIED, na(*[OTHER] * 16)], outcomes.TOO_MANY),
]


@pytest.mark.parametrize(
    ("message", "options", "outcome"), [row[1:] for row in DISCARDED], ids=lambda row: str(row)[:9]
)
def test_what_is_discarded(message: Any, options: list[Any], outcome: Outcome) -> None:
    assert ask(message, *options).outcome is outcome


@pytest.mark.parametrize("message", [REQUEST, RENEW, RELEASE, DECLINE])
def test_unicast_to_the_chosen_server_is_told_to_use_multicast(message: Any) -> None:
    """18.3.2, 18.3.4, 18.3.7, 18.3.8: with no other options."""
    answer = ask(message, IDENTIFIED, OURS, wanting(DNS), na(ADDRESS), destination=guest.GATEWAY)
    assert (answer.outcome, type(answer.message), answer.status) == (
        outcomes.USE_MULTICAST,
        dhcp6.DHCP6_Reply,
        USE_MULTICAST,
    )
    assert answer.codes == [CLIENT_IDENTIFIER, SERVER_IDENTIFIER, STATUS]


def test_unicast_to_another_server_is_not_answered() -> None:
    answer = ask(REQUEST, IDENTIFIED, THEIRS, na(ADDRESS), destination="2001:db8::547")
    assert answer.outcome is outcomes.OTHER_SERVER


@pytest.mark.parametrize("message", [SOLICIT, CONFIRM, REBIND, INFORMATION])
def test_unicast_of_what_goes_to_all_servers_is_discarded(message: Any) -> None:
    """RFC 8415, 16."""
    assert ask(message, IDENTIFIED, na(ADDRESS), destination=guest.ROUTER).outcome is outcomes.UNICAST


@pytest.mark.parametrize("message", [SOLICIT, REQUEST, CONFIRM, RENEW, REBIND, RELEASE, DECLINE])
def test_a_site_whose_guests_make_their_addresses_gives_none(message: Any) -> None:
    answer = ask(message, IDENTIFIED, na(ADDRESS), site={"mode": "slaac+dhcpv6"})
    assert answer.outcome is outcomes.NOT_STATEFUL


@pytest.mark.parametrize(
    ("site", "changed"), [({"mode": "slaac"}, {}), ({"enabled": False}, {}), ({}, {"subnet6": None})]
)
def test_without_dhcpv6_nothing_is_prepared(site: dict[str, Any], changed: dict[str, Any]) -> None:
    found = answering.prepare(guest.BINDING._replace(**changed), guest.SITE._replace(**site), guest.ROUTER_MAC)
    assert found is None


def test_an_infinite_lease() -> None:
    answer = ask(SOLICIT, IDENTIFIED, na(), lease_time=0xFFFFFFFF)
    assert answer.told == [Told("IA_NA", 1, ((ADDRESS, 0xFFFFFFFF, 0xFFFFFFFF),), (3600, 0xFFFFFFFF))]
