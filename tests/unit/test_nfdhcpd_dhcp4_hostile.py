# SPDX-License-Identifier: BSD-2-Clause
"""What no honest client sends: each kind has its own outcome, and none does harm."""

from __future__ import annotations

import pytest

from nfdhcpd.dhcp4 import answering
from tests.fuzz.decoders import shown, target
from tests.unit.dhcp4_ears import hear, say
from tests.unit.dhcp4_guest import (
    ADDRESS,
    BINDING,
    COOKIE,
    DISCOVER,
    EVERYWHERE,
    INFORM,
    MAC,
    OTHER_ADDRESS,
    REQUEST,
    Fixed,
    asks_for,
    datagram,
    message,
    option,
    prepared,
    wants,
)

RIGHT = message(DISCOVER, asks_for(1, 3))


@pytest.mark.parametrize(
    ("fixed", "outcome"),
    [
        pytest.param(Fixed(op=2), "not_a_request", id="a server's message"),
        pytest.param(Fixed(op=0), "not_a_request", id="no operation"),
        pytest.param(Fixed(htype=6), "not_a_request", id="token ring"),
        pytest.param(Fixed(hlen=0), "not_a_request", id="no hardware address"),
        pytest.param(Fixed(hlen=16), "not_a_request", id="a long hardware address"),
        pytest.param(Fixed(hops=1), "relay", id="hops"),
        pytest.param(Fixed(giaddr=ADDRESS.packed), "relay", id="relay agent"),
        pytest.param(Fixed(chaddr=b"\x52\x54\0\0\0\1"), "wrong_hardware_address", id="somebody else"),
        pytest.param(Fixed(chaddr=b"\xff" * 6), "wrong_hardware_address", id="everybody"),
        pytest.param(Fixed(cookie=COOKIE[::-1]), "not_dhcp", id="another cookie"),
        pytest.param(Fixed(cookie=bytes(4)), "not_dhcp", id="no cookie"),
        # What a client has to leave empty, or what only means something to others, does no harm.
        pytest.param(Fixed(yiaddr=OTHER_ADDRESS.packed, siaddr=OTHER_ADDRESS.packed), "offer", id="yiaddr and siaddr"),
        pytest.param(Fixed(chaddr=MAC + b"\xff" * 10), "offer", id="bytes after the hardware address"),
        pytest.param(Fixed(sname=b"\xff" * 64, file=b"\x35" * 128), "offer", id="names of files"),
    ],
)
def test_the_fixed_part(fixed: Fixed, outcome: str) -> None:
    assert say(message(DISCOVER, asks_for(1), fixed=fixed)).outcome == outcome


@pytest.mark.parametrize("kind", [0, 2, 5, 6, 9, 10, 13, 18, 255])
def test_types_that_no_client_sends(kind: int) -> None:
    assert say(message(kind, wants(ADDRESS))).outcome == "unknown_type"


@pytest.mark.parametrize(
    ("payload", "outcome"),
    [
        pytest.param(message(None), "no_message_type", id="BOOTP"),
        pytest.param(message(None, option(53)), "bad_option", id="no type in the option"),
        pytest.param(message(DISCOVER, option(53, b"\1")), "bad_option", id="two types"),
        pytest.param(message(DISCOVER, option(50, b"\1\2\3")), "bad_option", id="short address"),
        pytest.param(message(DISCOVER, wants(ADDRESS), wants(ADDRESS)), "bad_option", id="two addresses"),
        pytest.param(message(REQUEST, option(54)), "bad_option", id="no server in the option"),
        pytest.param(message(DISCOVER, option(57, b"\5")), "bad_option", id="short size"),
        pytest.param(message(DISCOVER, option(80, b"\1")), "bad_option", id="rapid commit with a value"),
        pytest.param(message(DISCOVER, option(52)), "bad_option", id="overload without value"),
        pytest.param(message(DISCOVER, option(52, b"\0")), "bad_option", id="overload of nothing"),
        pytest.param(message(DISCOVER, option(52, b"\4")), "bad_option", id="overload of more than there is"),
        pytest.param(message(DISCOVER, option(61, bytes(255)), option(61, b"\0")), "bad_option", id="long identifier"),
        pytest.param(message(DISCOVER, end=b"\x0c\xff" + bytes(9)), "bad_option", id="longer than the message"),
        pytest.param(message(DISCOVER, bytes(200), end=b"\x0c"), "bad_option", id="no length at the end"),
        pytest.param(
            message(DISCOVER, option(52, b"\1"), fixed=Fixed(file=b"\x0c\x7f")), "bad_option", id="out of file"
        ),
        pytest.param(
            message(DISCOVER, option(52, b"\2"), fixed=Fixed(sname=bytes(63) + b"\x0c")),
            "bad_option",
            id="out of sname",
        ),
        pytest.param(message(DISCOVER, end=b""), "offer", id="no end, but padding"),
        pytest.param(message(DISCOVER, bytes(1000)), "offer", id="a thousand times padding"),
        pytest.param(message(DISCOVER, end=b"\xff\x0c\xff"), "offer", id="rubbish after the end"),
        pytest.param(message(DISCOVER, asks_for(*range(255))), "offer", id="asks for everything"),
        pytest.param(message(DISCOVER, *(option(224, bytes(255)),) * 5), "offer", id="as long as a frame"),
    ],
)
def test_options(payload: bytes, outcome: str) -> None:
    assert say(payload).outcome == outcome


def test_options_in_the_other_fields_count() -> None:
    """RFC 2131, 4.1: first the options, then the file, then sname."""
    overloaded = Fixed(file=wants(OTHER_ADDRESS) + b"\xff", sname=asks_for(1) + b"\xff")
    assert say(message(REQUEST, option(52, b"\x01"), fixed=overloaded)).outcome == "nak"
    assert say(message(REQUEST, option(52, b"\x02"), fixed=overloaded)).outcome == "no_address"
    assert say(message(REQUEST, option(52, b"\x03"), fixed=overloaded)).outcome == "nak"
    assert list(say(message(DISCOVER, option(52, b"\x02"), fixed=overloaded)).options)[5:] == ["subnet_mask"]


def test_an_overload_within_the_other_fields_starts_no_circle() -> None:
    fields = Fixed(file=option(52, b"\2") + b"\xff", sname=asks_for(1) + b"\xff")
    assert say(message(DISCOVER, option(52, b"\1"), fixed=fields)).outcome == "bad_option"


@pytest.mark.parametrize("length", range(0, 241))
def test_every_truncated_message_is_dropped(length: int) -> None:
    assert say(RIGHT[:length]).outcome in {"truncated", "not_dhcp", "no_message_type"}


def test_a_message_of_the_smallest_size_is_enough() -> None:
    payload = message(DISCOVER)[:244]
    assert say(payload).outcome == "offer"


def test_another_hardware_address_does_not_hear_what_is_remembered() -> None:
    kept, packet = prepared(), datagram(RIGHT)
    assert hear(kept, packet).outcome == "offer"
    assert hear(kept, packet, b"\x52\x54\0\0\0\1").outcome == "wrong_hardware_address"
    assert hear(kept, packet).outcome == "offer"


def test_a_wrong_checksum_is_noticed_in_a_request_that_is_remembered() -> None:
    kept = prepared()
    first, second = (datagram(message(DISCOVER, fixed=Fixed(xid=xid))) for xid in (0x01020304, 0x99999999))
    wrong = second[:26] + first[26:28] + second[28:]
    assert [hear(kept, packet).outcome for packet in (first, wrong, second)] == ["offer", "bad_checksum", "offer"]


@pytest.mark.parametrize("bit", range(8))
def test_every_wrong_bit_of_a_remembered_request_is_noticed(bit: int) -> None:
    kept, packet = prepared(), datagram(RIGHT)
    assert hear(kept, packet).outcome == "offer"
    for position in range(28, len(packet)):
        wrong = bytearray(packet)
        wrong[position] ^= 1 << bit
        assert answering.answer(kept, bytes(wrong), MAC)[0].name == "bad_checksum"


@pytest.mark.parametrize("ciaddr", ["224.0.0.1", EVERYWHERE, "127.0.0.1", "203.0.113.7"])
def test_an_inform_from_anywhere_is_answered_to_the_guest_alone(ciaddr: str) -> None:
    packet = bytes(int(part) for part in ciaddr.split("."))
    heard = say(message(INFORM, fixed=Fixed(ciaddr=packet)))
    assert (heard.outcome, heard.ip[1]) == ("ack_inform", ciaddr)


def test_wrong_packets_do_no_harm() -> None:
    counts = shown(target("dhcp4"), seed=1, number=10_000)
    assert counts.total() == 10_000
    assert {"offer", "ack", "ack_rapid_commit", "ack_inform", "nak", "release", "bad_option"} <= set(counts)
    assert {"truncated", "bad_checksum", "bad_length", "relay", "not_dhcp", "no_address"} <= set(counts)


def test_the_same_seed_makes_the_same_packets() -> None:
    assert shown(target("dhcp4"), 5, 500) == shown(target("dhcp4"), 5, 500) != shown(target("dhcp4"), 6, 500)


def test_a_guest_without_options_is_answered_as_well() -> None:
    bare = BINDING._replace(hostname="", subnet=None, gateway=None)
    assert say(RIGHT, bare).outcome == "offer"
