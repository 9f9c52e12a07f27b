# SPDX-License-Identifier: BSD-2-Clause
"""What a daemon remembers of one guest's requests, and that nobody can tell it from an answer made anew."""

from __future__ import annotations

import random
import struct

import pytest

from nfdhcpd.dhcp4 import answering, message
from nfdhcpd.packets.outcome import Answer
from nfdhcpd.wire.malformed import Malformed
from tests.unit.dhcp4_ears import hear
from tests.unit.dhcp4_guest import (
    ADDRESS,
    BINDING,
    DISCOVER,
    MAC,
    OTHER_ADDRESS,
    RELEASE,
    REQUEST,
    Fixed,
    asks_for,
    at,
    datagram,
    option,
    prepared,
    wants,
)
from tests.unit.dhcp4_guest import message as payload

WISH = asks_for(1, 3, 6)
NAME, OTHER_NAME = option(12, b"a"), option(12, b"another")


def answer(kept: answering.Prepared, said: bytes, mac: bytes = MAC) -> Answer:
    return answering.answer(kept, datagram(said), mac)


def anew(said: bytes) -> Answer:
    return answer(prepared(), said)


def without_checksum(packet: bytes) -> bytes:
    """RFC 768: a sender may leave it out."""
    return packet[:26] + bytes(2) + packet[28:]


def sizes(kept: answering.Prepared) -> tuple[int, int]:
    return len(kept.by_request), len(kept.by_message)


def test_a_request_is_remembered_by_its_essence_and_from_the_second_time_on_as_it_stands() -> None:
    kept, said = prepared(), payload(DISCOVER, WISH)
    seen = []
    for _ in range(4):
        assert answer(kept, said) == anew(said)
        seen.append(sizes(kept))
    assert seen == [(1, 0), (1, 1), (1, 1), (1, 1)]


def test_a_few_answers_are_remembered_and_the_oldest_goes_first() -> None:
    kept = prepared()
    for code in (1, 3, 6, 12, 15, 1):
        said = payload(DISCOVER, asks_for(code))
        assert [answer(kept, said) for _ in range(2)] == [anew(said)] * 2
    assert sizes(kept) == (4, 4)


def test_messages_that_differ_in_what_nobody_asks_of_them_have_one_answer() -> None:
    kept = prepared()
    told = {answer(kept, payload(DISCOVER, WISH, option(12, name))) for name in (b"", b"a", b"bc" * 60)}
    assert (len(told), sizes(kept)) == (1, (1, 2))


def test_answers_to_very_long_requests_are_not_remembered() -> None:
    kept, said = prepared(), payload(DISCOVER, *(option(224, bytes(200)),) * 2)
    assert [answer(kept, said) for _ in range(3)] == [anew(said)] * 3
    assert sizes(kept) == (0, 0)


def test_what_is_not_answered_is_not_remembered() -> None:
    kept = prepared()
    answer(kept, payload(RELEASE))
    assert sizes(kept) == (0, 0)


def test_an_acknowledgement_is_that_of_its_own_request() -> None:
    """Most of it may come from the offer before; what that did not say may not."""
    rng = random.Random(0)
    kinds = set()
    for _ in range(400):
        kept = prepared(BINDING._replace(mtu=rng.choice([600, 1500])))
        flags = rng.choice([0, 0x8000])
        sayings = [WISH, asks_for(15, 12), option(61, MAC), option(57, b"\x02\x58"), option(52, b"\1"), NAME]
        wish = rng.sample(sayings, rng.randrange(4))
        other = rng.sample(sayings, rng.randrange(2))
        ciaddr = rng.choice([bytes(4), ADDRESS.packed])
        answer(kept, payload(DISCOVER, *wish, *rng.choice([(), (option(80),)]), fixed=Fixed(flags=flags)))
        calls = rng.choice([(at(), wants(ADDRESS)), (wants(OTHER_ADDRESS),), (wants(ADDRESS),), ()])
        said = payload(REQUEST, *wish, *calls, *other, fixed=Fixed(flags=flags, ciaddr=ciaddr, xid=rng.getrandbits(32)))
        found = answer(kept, said)
        assert found == answer(answering.Prepared(kept.told, {}, {}), said)
        kinds.add(found[0].name)
    assert kinds == {"ack", "nak", "no_address", "bad_option"}


@pytest.mark.parametrize("first", [True, False])
def test_a_checksum_is_looked_at_whether_or_not_the_same_came_without(first: bool) -> None:
    kept = prepared()
    right = datagram(payload(DISCOVER, WISH))
    bare = without_checksum(right)
    wrong = right[:26] + struct.pack("!H", (int.from_bytes(right[26:28], "big") + 1) & 0xFFFF or 1) + right[28:]
    for packet in [bare if first else right] * 3 + [right, bare] * 2:
        assert hear(kept, packet).outcome == "offer"
        assert hear(kept, wrong).outcome == "bad_checksum"


@pytest.mark.parametrize("position", [0, 1, 2, 3, 24, 28, 33, 236, 239])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_what_is_remembered_is_only_for_a_request_of_the_guest_itself(position: int, times: int) -> None:
    kept, said = prepared(), payload(DISCOVER, WISH)
    for _ in range(times):
        assert answer(kept, said) == anew(said)
    changed = bytearray(said)
    changed[position] ^= 1
    found = answer(kept, bytes(changed))
    assert (found, found[1]) == (anew(bytes(changed)), None)
    assert answer(kept, said, MAC[:5] + b"\xee")[0].name == "wrong_hardware_address"


def test_the_essence_leaves_out_what_no_answer_depends_on() -> None:
    plain = message.essence(payload(DISCOVER, WISH, NAME))
    assert plain == (option(53, b"\1"), bytes(18) + MAC + WISH)
    assert message.essence(payload(DISCOVER, OTHER_NAME, b"\0\0", WISH, option(82, b"x"))) == plain
    assert message.essence(payload(DISCOVER, WISH, end=b"")) == plain
    assert message.essence(payload(DISCOVER, option(52, b"\1"), fixed=Fixed(file=WISH + b"\xff"))) == (
        option(53, b"\1"),
        bytes(18) + MAC + option(52, b"\1") + WISH,
    )


@pytest.mark.parametrize("name", [option(12, b"abc")[:-1], b"\x0c", b"\x0c\xff"])
def test_the_essence_is_of_well_formed_options_only(name: bytes) -> None:
    with pytest.raises(Malformed, match="bad_option"):
        message.essence(payload(DISCOVER, WISH).rstrip(b"\0")[:-1] + name)


def test_of_a_message_that_is_cut_off_the_checksum_comes_first() -> None:
    short = datagram(payload(DISCOVER)[:200])
    assert hear(prepared(), short).outcome == "truncated"
    assert hear(prepared(), without_checksum(short)).outcome == "truncated"
    assert hear(prepared(), short[:-1] + b"\x01").outcome == "bad_checksum"
