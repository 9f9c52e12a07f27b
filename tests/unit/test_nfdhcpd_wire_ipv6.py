# SPDX-License-Identifier: BSD-2-Clause
"""IPv6 with UDP or ICMPv6 in it: read and written as scapy does it, and refused when it is broken."""

from __future__ import annotations

import random
from ipaddress import IPv6Network
from typing import Any

import pytest
from scapy.packet import Raw

from ganeti_cloud import netvalues
from nfdhcpd.wire import ipv6
from nfdhcpd.wire.malformed import Fault, Malformed
from tests.unit import nfdhcpd_ipv6 as guest
from tests.unit.nfdhcpd_ipv6 import UDP, Ether, header, inet6

NEIGHBOUR = bytes(guest.neighbour_solicitation("2001:db8:7::9"))
CLIENT = bytes(header() / UDP(sport=546, dport=547) / Raw(b"payload"))
SOURCE = bytes.fromhex("fe80000000000000a80000fffe0a0b0c")


def fault_of(datagram: bytes, port: int | None = None) -> Fault | None:
    try:
        if port is None:
            ipv6.neighbour_message(datagram)
        else:
            ipv6.udp_payload(datagram, port)
    except Malformed as err:
        return err.fault
    return None


def test_the_interface_identifier_of_the_rfc() -> None:
    """RFC 2464, 4 has this example."""
    mac = bytes.fromhex("3456789abcde")
    assert netvalues.interface_identifier(mac) == bytes.fromhex("365678fffe9abcde")
    assert str(netvalues.eui64(IPv6Network("2001:db8::/64"), mac)) == "2001:db8::3656:78ff:fe9a:bcde"
    assert ipv6.link_local(mac) == bytes.fromhex("fe80000000000000365678fffe9abcde")


def test_a_neighbour_message_is_read() -> None:
    source, destination, message = ipv6.neighbour_message(NEIGHBOUR)
    assert source == SOURCE
    assert destination == bytes.fromhex("ff0200000000000000000001ff000009")
    assert message == NEIGHBOUR[40:]


def test_a_payload_is_read() -> None:
    source, destination, payload = ipv6.udp_payload(CLIENT, 547)
    assert (source, destination, payload) == (SOURCE, bytes.fromhex("ff020000000000000000000000000002"), b"payload")


def test_a_payload_may_be_empty() -> None:
    assert ipv6.udp_payload(bytes(header() / UDP(sport=546, dport=547)), 547)[2] == b""


def test_a_payload_may_be_long() -> None:
    assert ipv6.udp_payload(bytes(header() / UDP(sport=546, dport=547) / Raw(bytes(1400))), 547)[2] == bytes(1400)


def test_what_follows_the_datagram_is_no_part_of_it() -> None:
    assert ipv6.neighbour_message(NEIGHBOUR + b"padding") == ipv6.neighbour_message(NEIGHBOUR)
    assert ipv6.udp_payload(CLIENT + b"padding", 547) == ipv6.udp_payload(CLIENT, 547)


def test_what_follows_the_udp_datagram_is_no_part_of_it() -> None:
    datagram = bytes(header() / UDP(sport=546, dport=547, len=10) / Raw(b"payload"))
    short = bytes(header() / UDP(sport=546, dport=547) / Raw(b"pa"))
    datagram = datagram[:46] + short[46:48] + datagram[48:]
    assert ipv6.udp_payload(datagram, 547)[2] == b"pa"


def neighbour(**changed: Any) -> Any:
    packet = guest.neighbour_solicitation("2001:db8:7::9")
    for name, value in changed.items():
        setattr(packet, name, value)
    return packet


NEIGHBOUR_FAULTS = [
    ("empty", b"", Fault.TRUNCATED),
    ("half a header", NEIGHBOUR[:39], Fault.TRUNCATED),
    ("cut off", NEIGHBOUR[:-1], Fault.TRUNCATED),
    ("IPv4", b"\x45" + NEIGHBOUR[1:], Fault.NOT_IPV6),
    ("other protocol", neighbour(nh=17), Fault.OTHER_PROTOCOL),
    ("no next header", neighbour(nh=59), Fault.OTHER_PROTOCOL),
    ("forwarded", neighbour(hlim=254), Fault.FORWARDED),
    ("multicast source", neighbour(src="ff02::1"), Fault.BAD_SOURCE),
    ("loopback source", neighbour(src="::1"), Fault.BAD_SOURCE),
    ("checksum", NEIGHBOUR[:-1] + bytes((NEIGHBOUR[-1] ^ 1,)), Fault.BAD_CHECKSUM),
    ("another's checksum", NEIGHBOUR[:8] + bytes(16) + NEIGHBOUR[24:], Fault.BAD_CHECKSUM),
    ("empty message", header(hop_limit=255) / Raw(b""), Fault.OTHER_PROTOCOL),
    ("hop by hop", header() / inet6.IPv6ExtHdrHopByHop() / NEIGHBOUR[40:], Fault.EXTENSION_HEADER),
    ("routing", header() / inet6.IPv6ExtHdrRouting() / NEIGHBOUR[40:], Fault.EXTENSION_HEADER),
    ("destination", header() / inet6.IPv6ExtHdrDestOpt() / NEIGHBOUR[40:], Fault.EXTENSION_HEADER),
    *((f"header {each}", neighbour(nh=each), Fault.EXTENSION_HEADER) for each in (0, 43, 50, 51, 60, 135, 139, 140)),
    ("fragment (RFC 6980)", header() / inet6.IPv6ExtHdrFragment(nh=58) / NEIGHBOUR[40:], Fault.FRAGMENT),
]


@pytest.mark.parametrize(("packet", "fault"), [row[1:] for row in NEIGHBOUR_FAULTS], ids=lambda row: str(row)[:20])
def test_a_broken_neighbour_message_is_refused(packet: Any, fault: Fault) -> None:
    assert fault_of(bytes(packet)) is fault


def client(**changed: Any) -> Any:
    packet = header() / UDP(sport=546, dport=547) / Raw(b"payload")
    for name, value in changed.items():
        setattr(packet[UDP], name, value)
    return packet


UDP_FAULTS = [
    (CLIENT[:47], Fault.TRUNCATED),
    (header().__class__(src=guest.GUEST, dst="ff02::2", nh=17, plen=7) / Raw(bytes(7)), Fault.BAD_LENGTH),
    (client(dport=548), Fault.WRONG_PORT),
    (client(len=7), Fault.BAD_LENGTH),
    (client(len=16), Fault.BAD_LENGTH),
    (client(chksum=0), Fault.BAD_CHECKSUM),
    (client(chksum=1), Fault.BAD_CHECKSUM),
    (header() / inet6.IPv6ExtHdrFragment(nh=17) / CLIENT[40:], Fault.FRAGMENT),
    (NEIGHBOUR, Fault.OTHER_PROTOCOL),
]


@pytest.mark.parametrize(("packet", "fault"), UDP_FAULTS)
def test_a_broken_udp_datagram_is_refused(packet: Any, fault: Fault) -> None:
    assert fault_of(bytes(packet), 547) is fault


@pytest.mark.parametrize(("datagram", "port"), [(NEIGHBOUR, None), (CLIENT, 547)], ids=["icmpv6", "udp"])
def test_every_wrong_bit_is_noticed(datagram: bytes, port: int | None) -> None:
    """Except in what no checksum covers: traffic class, flow label, and the hop limit of UDP."""
    uncovered = {*range(4, 32), *(range(56, 64) if port else ())}
    for bit in range(8 * len(datagram)):
        flipped = bytearray(datagram)
        flipped[bit >> 3] ^= 0x80 >> (bit & 7)
        assert (fault_of(bytes(flipped), port) is None) == (bit in uncovered), bit


def test_a_frame_with_a_neighbour_message_is_as_scapy_makes_it() -> None:
    rng = random.Random(6)
    for _ in range(100):
        mac, to_mac, source, destination, target = (rng.randbytes(size) for size in (6, 6, 16, 16, 16))
        before, after = rng.randbytes(4), rng.randbytes(2 * rng.randrange(5))
        template = ipv6.neighbour_template(mac, source, b"\x88\0", before, after, varying=16)
        frame = ipv6.neighbour_frame(template, to_mac, destination, target)
        packet = Ether(dst=to_mac, src=mac) / header(inet6.inet_ntop(10, source), inet6.inet_ntop(10, destination))
        packet /= inet6.ICMPv6Unknown(type=136, code=0, msgbody=before + target + after)
        assert frame == bytes(packet)


def test_a_frame_with_udp_is_as_scapy_makes_it() -> None:
    rng = random.Random(7)
    for _ in range(100):
        mac, to_mac, source, destination = (rng.randbytes(size) for size in (6, 6, 16, 16))
        payload = rng.randbytes(rng.randrange(60))
        frame = ipv6.udp_frame(ipv6.udp_template(mac, source, 547, 546), to_mac, destination, payload)
        packet = Ether(dst=to_mac, src=mac) / header(inet6.inet_ntop(10, source), inet6.inet_ntop(10, destination), 64)
        assert frame == bytes(packet / UDP(sport=547, dport=546) / Raw(payload))


def test_what_is_sent_is_understood() -> None:
    """With every kind of checksum: with a zero in one byte of it, too."""
    template = ipv6.udp_template(guest.ROUTER_MAC, SOURCE, 546, 547)
    for number in range(2000):
        payload = number.to_bytes(2 + number % 2, "big")
        assert ipv6.udp_payload(ipv6.udp_frame(template, guest.MAC, SOURCE, payload)[14:], 547)[2] == payload


def test_a_checksum_that_comes_to_zero_is_sent_as_ones() -> None:
    """RFC 8200, 8.1: zero would say that there is none, and is refused."""
    template = ipv6.udp_template(bytes(6), bytes(16), 546, 547)
    known = 547 + 546 + 17 + 2 * 10
    frame = ipv6.udp_frame(template, bytes(6), bytes(16), (0xFFFF - known).to_bytes(2, "big"))
    assert frame[60:62] == b"\xff\xff"
    assert fault_of(frame[14:], 547) is None
    assert fault_of(frame[14:60] + bytes(2) + frame[62:], 547) is Fault.BAD_CHECKSUM
