# SPDX-License-Identifier: BSD-2-Clause
"""UDP over IPv4, against scapy and against whoever sends nonsense."""

from __future__ import annotations

import random
from ipaddress import IPv4Address

import pytest
from scapy.layers.inet import IP, UDP

from nfdhcpd.wire import ethernet, ipv4
from nfdhcpd.wire.checksum import total
from nfdhcpd.wire.malformed import Fault, Malformed

SOURCE, DESTINATION = IPv4Address("192.0.2.1"), IPv4Address("198.51.100.5")


def made(payload: bytes, source_port: int = 68, destination_port: int = 67) -> bytes:
    return ipv4.udp_datagram(SOURCE.packed, DESTINATION.packed, source_port, destination_port, payload)


def opened(datagram: bytes) -> bytes:
    """The payload, after all checks."""
    payload, remainder = ipv4.open_udp(datagram, 67)
    if not ipv4.is_right(remainder, total(payload)):
        raise Malformed(Fault.BAD_CHECKSUM)
    return payload


def fault(datagram: bytes) -> str:
    with pytest.raises(Malformed) as caught:
        opened(datagram)
    return str(caught.value)


def by_scapy(payload: bytes = b"payload", udp: dict[str, object] | None = None, **ip: object) -> bytes:
    """A packet with right lengths and checksums where *ip* and *udp* say nothing else."""
    fields = {"sport": 68, "dport": 67} | (udp or {})
    return bytes(IP(**({"src": str(SOURCE), "dst": str(DESTINATION)} | ip)) / UDP(**fields) / payload)


@pytest.mark.parametrize("seed", range(4))
def test_what_scapy_makes_is_read(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        payload = rng.randbytes(rng.randrange(600))
        source, destination = (str(IPv4Address(rng.getrandbits(32))) for _ in range(2))
        packet = by_scapy(
            payload, {"sport": rng.randrange(1 << 16)}, src=source, dst=destination, tos=rng.randrange(256)
        )
        assert opened(packet + rng.randbytes(rng.randrange(3))) == payload


@pytest.mark.parametrize("seed", range(4))
def test_what_is_made_is_what_scapy_makes(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(60):
        payload = rng.randbytes(rng.randrange(600))
        source, destination = (IPv4Address(rng.getrandbits(32)) for _ in range(2))
        ports = rng.randrange(1 << 16), rng.randrange(1 << 16)
        packet = ipv4.udp_datagram(source.packed, destination.packed, *ports, payload)
        fields = {"src": str(source), "dst": str(destination), "tos": 0x10, "id": 0, "flags": "DF", "ttl": 64}
        assert packet == by_scapy(payload, {"sport": ports[0], "dport": ports[1]}, **fields)


def test_a_checksum_that_would_be_zero_is_sent_as_its_other_form() -> None:
    """RFC 768: zero says that there is no checksum."""
    missing = 0xFFFF - total(made(b"\0\0")[12:20]) - 17 - 10 - 68 - 67 - 10
    packet = made((missing % 0xFFFF).to_bytes(2, "big"))
    assert packet[26:28] == b"\xff\xff"
    assert opened(packet) == packet[28:]


def test_options_of_the_header_are_passed_over() -> None:
    packet = by_scapy(options=b"\x94\x04\0\0", ihl=6)
    assert (packet[0], opened(packet)) == (0x46, b"payload")


def test_a_sender_may_leave_the_checksum_out() -> None:
    assert opened(by_scapy(udp={"chksum": 0})) == b"payload"


def test_bytes_after_the_end_are_no_part_of_it() -> None:
    assert opened(made(b"payload") + bytes(18)) == b"payload"


def test_a_datagram_may_end_before_its_packet() -> None:
    udp = made(b"payload")[20:]
    assert opened(bytes(IP(src=str(SOURCE), dst=str(DESTINATION), proto=17) / udp / b"more")) == b"payload"


@pytest.mark.parametrize("length", range(0, 35))
def test_every_truncation_is_noticed(length: int) -> None:
    assert fault(made(b"payload")[:length]) == "truncated"


@pytest.mark.parametrize("position", range(len(made(b"payload"))))
def test_every_wrong_bit_is_noticed(position: int) -> None:
    for bit in range(8):
        packet = bytearray(made(b"payload"))
        packet[position] ^= 1 << bit
        assert fault(bytes(packet)) in {"truncated", "bad_length", "bad_checksum", "wrong_port"}


@pytest.mark.parametrize(
    ("packet", "word"),
    [
        pytest.param(by_scapy(version=6), "bad_length", id="not version 4"),
        pytest.param(by_scapy(ihl=4), "bad_length", id="header shorter than a header"),
        pytest.param(by_scapy(ihl=15), "bad_length", id="header longer than the packet"),
        pytest.param(by_scapy(len=27), "bad_length", id="no room for UDP"),
        pytest.param(by_scapy(len=10), "bad_length", id="shorter than its header"),
        pytest.param(by_scapy(len=65535), "truncated", id="longer than it is"),
        pytest.param(by_scapy(chksum=1), "bad_checksum", id="header's checksum"),
        pytest.param(by_scapy(udp={"chksum": 1}), "bad_checksum", id="UDP's checksum"),
        pytest.param(by_scapy(flags="MF"), "fragment", id="first fragment"),
        pytest.param(by_scapy(frag=1), "fragment", id="last fragment"),
        pytest.param(by_scapy(frag=8191, flags="MF"), "fragment", id="fragment in the middle"),
        pytest.param(by_scapy(proto=6), "not_udp", id="TCP"),
        pytest.param(by_scapy(udp={"len": 7}), "bad_length", id="UDP shorter than its header"),
        pytest.param(by_scapy(udp={"len": 0}), "bad_length", id="UDP of no length"),
        pytest.param(by_scapy(udp={"len": 16}), "bad_length", id="UDP longer than its packet"),
        pytest.param(by_scapy(udp={"dport": 68}), "wrong_port", id="for the client"),
    ],
)
def test_what_is_refused(packet: bytes, word: str) -> None:
    assert fault(packet) == word


def test_a_frame_is_its_header_and_the_packet() -> None:
    packet = ethernet.frame(b"\1" * 6, b"\2" * 6, ethernet.IPV4, b"payload")
    assert packet == b"\1\1\1\1\1\1\2\2\2\2\2\2\x08\0payload"
    assert packet[ethernet.HEADER :] == b"payload"
