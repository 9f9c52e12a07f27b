# SPDX-License-Identifier: BSD-2-Clause
"""Messages of DHCPv6 clients are understood as scapy understands them, and refused when they are broken."""

from __future__ import annotations

import random
from ipaddress import IPv6Address
from typing import Any

import pytest

from nfdhcpd.dhcp6 import message, numbers
from nfdhcpd.dhcp6.message import Association, Message
from nfdhcpd.wire.malformed import Fault, Malformed
from tests.unit.nfdhcpd_ipv6 import dhcp6

HEADER = b"\1\0\0\7"
CLIENT = bytes.fromhex("00030001aa00000a0b0c")


def option(code: int, body: bytes) -> bytes:
    return code.to_bytes(2, "big") + len(body).to_bytes(2, "big") + body


def test_what_a_client_says() -> None:
    """As systemd-networkd writes it: rapid commit, an association, FQDN, requested options, identifier, time."""
    payload = (
        HEADER
        + option(14, b"")
        + option(3, bytes.fromhex("0a0b0c0d") + bytes(8))
        + option(39, b"\1\3web\0")
        + option(6, bytes.fromhex("001700180038"))
        + option(1, CLIENT)
        + option(8, b"\0\0")
    )
    association = Association(numbers.IA_NA, bytes.fromhex("0a0b0c0d"), ())
    assert message.decode(payload) == Message(CLIENT, None, (association,), (23, 24, 56), True)


def test_nothing_said() -> None:
    assert message.decode(HEADER) == Message(None, None, (), (), False)


def address(number: int) -> bytes:
    return option(5, number.to_bytes(16, "big") + bytes(8) + option(13, bytes(2)))


def test_addresses_and_prefixes_of_associations() -> None:
    prefix = option(26, bytes(8) + b"\x38" + b"\x20\1" + bytes(14) + option(13, b"\0\6"))
    payload = (
        HEADER
        + option(3, bytes(12) + address(1) + option(13, bytes(2)) + address(2))
        + option(4, b"\0\0\0\1" + address(3))
        + option(25, b"\0\0\0\2" + bytes(8) + option(13, bytes(2)) + prefix)
    )
    assert message.decode(payload).associations == (
        Association(numbers.IA_NA, bytes(4), ((1).to_bytes(16, "big"), (2).to_bytes(16, "big"))),
        Association(numbers.IA_TA, b"\0\0\0\1", ((3).to_bytes(16, "big"),)),
        Association(numbers.IA_PD, b"\0\0\0\2", (b"\x38" + b"\x20\1" + bytes(14),)),
    )


def test_requests_for_options_may_be_spread() -> None:
    assert message.decode(HEADER + option(6, b"\0\x17") + option(6, b"") + option(6, b"\0\x18")).requested == (23, 24)


@pytest.mark.parametrize("length", [3, 130])
def test_lengths_of_an_identifier(length: int) -> None:
    assert message.decode(HEADER + option(2, bytes(length))).server == bytes(length)


@pytest.mark.parametrize(
    "options",
    [
        b"\0",
        b"\0\1\0",
        option(1, CLIENT)[:-1],
        option(1, b"\0\4"),
        option(1, bytes(131)),
        option(2, b"\0\4"),
        option(1, CLIENT) * 2,
        option(2, CLIENT) * 2,
        option(6, b"\0\x17\0"),
        option(3, bytes(11)),
        option(4, bytes(3)),
        option(25, bytes(11)),
        option(3, bytes(12) + b"\0\5\0"),
        option(3, bytes(12) + b"\0\5\0\x18" + bytes(23)),
        option(3, bytes(12) + option(5, bytes(23))),
        option(4, bytes(4) + option(5, bytes(23))),
        option(25, bytes(12) + option(26, bytes(24))),
        option(0xFFFF, b"") + b"\xff\xff\xff\xff",
    ],
)
def test_broken_options_are_refused(options: bytes) -> None:
    with pytest.raises(Malformed) as caught:
        message.decode(HEADER + options)
    assert caught.value.fault is Fault.BAD_OPTION


def random_association(rng: random.Random) -> tuple[Any, Association]:
    """One as scapy makes it, and as it is to be understood."""
    number = rng.getrandbits(32)
    leases = [rng.randbytes(16) for _ in range(rng.randrange(3))]
    texts = [str(IPv6Address(lease)) for lease in leases]
    kind = rng.choice((numbers.IA_NA, numbers.IA_TA, numbers.IA_PD))
    if kind == numbers.IA_PD:
        lengths = [rng.randrange(129) for _ in leases]
        prefixes = [
            dhcp6.DHCP6OptIAPrefix(prefix=text, plen=length) for text, length in zip(texts, lengths, strict=True)
        ]
        made = dhcp6.DHCP6OptIA_PD(iaid=number, T1=rng.getrandbits(32), T2=0, iapdopt=prefixes)
        leases = [bytes((length,)) + lease for length, lease in zip(lengths, leases, strict=True)]
    else:
        addresses = [dhcp6.DHCP6OptIAAddress(addr=text, validlft=rng.getrandbits(32)) for text in texts]
        if kind == numbers.IA_NA:
            made = dhcp6.DHCP6OptIA_NA(iaid=number, T1=0, T2=rng.getrandbits(32), ianaopts=addresses)
        else:
            made = dhcp6.DHCP6OptIA_TA(iaid=number, iataopts=addresses)
    return made, Association(kind, number.to_bytes(4, "big"), tuple(leases))


def test_what_scapy_makes_is_understood_as_it_was_meant() -> None:
    rng = random.Random(11)
    for _ in range(100):
        associations = [random_association(rng) for _ in range(rng.randrange(4))]
        requested = [rng.randrange(200) for _ in range(rng.randrange(9))]
        client, server = (b"\0\3\0\1" + rng.randbytes(6) for _ in range(2))
        rapid = rng.randrange(2) == 1
        parts = [made for made, _ in associations]
        parts.append(dhcp6.DHCP6OptClientId(duid=client))
        parts.append(dhcp6.DHCP6OptServerId(duid=server))
        parts.append(dhcp6.DHCP6OptElapsedTime(elapsedtime=rng.getrandbits(16)))
        parts.append(dhcp6.DHCP6OptOptReq(reqopts=requested))
        parts.extend([dhcp6.DHCP6OptRapidCommit()] * rapid)
        packet = dhcp6.DHCP6_Solicit(trid=rng.getrandbits(24))
        # The identity associations keep their order among themselves.
        where = sorted(rng.sample(range(len(parts)), len(associations)))
        others = parts[len(associations) :]
        mixed = [parts.pop(0) if place in where else others.pop(0) for place in range(len(parts))]
        for part in mixed:
            packet /= part
        wanted = Message(client, server, tuple(meant for _, meant in associations), tuple(requested), rapid)
        assert message.decode(bytes(packet)) == wanted


def test_random_bytes_are_refused_or_understood() -> None:
    rng = random.Random(12)
    broken = 0
    for _ in range(20000):
        # Codes and lengths that make sense are short numbers.
        payload = bytes(rng.choice((0, 0, 0, 1, 2, 3, 4, 5, 6, 12, 16, 24, 25, 26)) for _ in range(rng.randrange(60)))
        try:
            message.decode(HEADER + payload)
        except Malformed as err:
            assert err.fault is Fault.BAD_OPTION
            broken += 1
    assert 10000 < broken < 20000
