# SPDX-License-Identifier: BSD-2-Clause
"""Random conversations, in which scapy is the other opinion: the same reading, and answers equal in every byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any, NamedTuple

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet

from ganeti_cloud.binding import Binding, Route
from nfdhcpd.dhcp4 import answering, message
from nfdhcpd.wire.ipv4 import open_udp
from tests.unit.dhcp4_guest import ADDRESS, BINDING, MAC, OTHER_ADDRESS, ROUTER_MAC, SERVER, SITE

GUEST, ROUTER = "52:54:00:aa:bb:01", "fe:54:00:aa:bb:01"
EVERYBODY, EVERYWHERE, NOWHERE = "ff:ff:ff:ff:ff:ff", "255.255.255.255", "0.0.0.0"
CODES = {
    1: "subnet_mask",
    3: "router",
    6: "name_server",
    12: "hostname",
    15: "domain",
    26: "interface-mtu",
    28: "broadcast_address",
    42: "NTP_server",
    66: "tftp_server_name",
    121: "classless_static_routes",
}


class Said(NamedTuple):
    """What a client means to say."""

    kind: str
    xid: int
    broadcast: bool
    ciaddr: str
    options: dict[str, Any]
    rapid_commit: bool


def choose(rng: random.Random) -> Said:
    kind = rng.choice(["discover", "request", "request", "inform"])
    some = (str(ADDRESS), str(ADDRESS), str(OTHER_ADDRESS), None)
    options: dict[str, Any] = {
        "requested_addr": rng.choice(some),
        "server_id": str(SERVER) if rng.random() < 0.5 else None,
        "max_dhcp_size": rng.choice([None, 576, 1500, 1000]),
        "vendor_class_id": rng.choice([None, b"linux"]),
        "client_id": rng.choice([None, b"\x01" + MAC, rng.randbytes(1 + rng.randrange(250))]),
        "hostname": rng.choice([None, b"guest"]),
        "param_req_list": rng.sample(range(1, 255), rng.randrange(1, 254)) if rng.random() < 0.8 else None,
    }
    ciaddr = rng.choice([NOWHERE, NOWHERE, str(ADDRESS), str(OTHER_ADDRESS)])
    return Said(kind, rng.getrandbits(32), rng.random() < 0.3, ciaddr, options, rng.random() < 0.2)


def packet(said: Said, rng: random.Random) -> bytes:
    """By scapy, with the options in any order."""
    options: list[Any] = [("message-type", said.kind)]
    for name, value in said.options.items():
        if value is not None:
            options.append((name, *value) if isinstance(value, list) else (name, value))
    if said.rapid_commit:
        options.append((80, b""))
    rng.shuffle(options)
    flags = 0x8000 if said.broadcast else 0
    fixed = BOOTP(xid=said.xid, secs=rng.getrandbits(16), flags=flags, ciaddr=said.ciaddr, chaddr=MAC)
    header = IP(src=said.ciaddr, dst=EVERYWHERE) / UDP(sport=68, dport=67)
    return bytes(header / fixed / DHCP(options=[*options, "end"]))


def binding(rng: random.Random) -> Binding:
    prefix = rng.choice([24, 28, 30, 31, 32])
    return BINDING._replace(
        subnet=rng.choice([None, IPv4Network((ADDRESS, prefix), strict=False)]),
        gateway=rng.choice([None, IPv4Address("198.51.100.1")]),
        private=rng.random() < 0.2,
        mtu=rng.choice([None, 1400, 9000]),
        routes=rng.choice([(), (Route(IPv4Network("10.0.0.0/9"), IPv4Address("203.0.113.1")),)]),
        options=rng.choice([(), ((66, b"tftp.example"), (150, rng.randbytes(200)))]),
    )


def routes(bound: Binding) -> list[str]:
    """The rule in other words: hosts that are not on the link, the routes, the default."""

    def far(gateway: str) -> bool:
        return bound.subnet is not None and IPv4Address(gateway) not in bound.subnet

    gateway = None if bound.private or bound.gateway is None else str(bound.gateway)
    told = [f"{each.network}:{each.gateway}" for each in bound.routes]
    used = [str(each.gateway) for each in bound.routes]
    if gateway is not None and (told or far(gateway)):
        told.append(f"0.0.0.0/0:{gateway}")
        used.append(gateway)
    return [f"{each}/32:0.0.0.0" for each in used if far(each)] + told


def values(bound: Binding) -> dict[int, tuple[Any, ...]]:
    """All that can be asked for, in the form that scapy takes."""
    subnet = bound.subnet
    found: dict[int, tuple[Any, ...]] = {}
    if subnet is not None:
        found[1] = (str(subnet.netmask),)
        if subnet.prefixlen < 31:
            found[28] = (str(subnet.broadcast_address),)
    if routes(bound):
        found[121] = tuple(routes(bound))
    if bound.gateway is not None and not bound.private:
        found[3] = (str(bound.gateway),)
    if bound.mtu is not None:
        found[26] = (bound.mtu,)
    found |= {6: ("192.0.2.53", "192.0.2.54"), 12: (b"web1.example.com",), 15: (b"example.org",)}
    return found | {42: ("192.0.2.123",)} | {code: (value,) for code, value in bound.options}


def asked(said: Said, bound: Binding) -> Iterator[tuple[Any, ...]]:
    available = values(bound)
    wanted = said.options["param_req_list"] or list(available)
    if 1 in wanted:
        wanted = [1, *(code for code in wanted if code != 1)]
    if 121 in wanted and 121 in available and 3 not in wanted:
        wanted = [*wanted, 3]
    return ((CODES.get(code, code), *available[code]) for code in wanted if code in available)


def expected(said: Said, bound: Binding) -> tuple[str, Packet | None]:
    """RFC 2131, once more, in scapy's words."""
    address = str(ADDRESS)
    if said.kind == "request":
        claims = {said.options["requested_addr"], said.ciaddr} - {None, NOWHERE}
        if not claims:
            return "no_address", None
        name = "ack" if claims == {address} else "nak"
    elif said.kind == "discover":
        name = "ack_rapid_commit" if said.rapid_commit else "offer"
    else:
        name = "ack_inform"
    leased = name in {"offer", "ack", "ack_rapid_commit"}
    ciaddr = said.ciaddr if name in {"ack", "ack_inform"} else NOWHERE
    fixed = BOOTP(
        op=2,
        xid=said.xid,
        flags=0x8000 if said.broadcast else 0,
        ciaddr=ciaddr,
        yiaddr=address if leased else NOWHERE,
        chaddr=MAC,
    )
    options: list[Any] = [("message-type", {"offer": 2, "nak": 6}.get(name, 5)), ("server_id", str(SERVER))]
    if name == "nak":
        options.append(("error_message", b"this is not the address of this interface"))
    if leased:
        options += [("lease_time", 7200), ("renewal_time", 600), ("rebinding_time", 6300)]
    if name == "ack_rapid_commit":
        options.append((80, b""))
    if said.options["client_id"] is not None:
        options.append(("client_id", said.options["client_id"]))
    if name != "nak":
        room = min(max(said.options["max_dhcp_size"] or 0, 576), bound.mtu or 1500) - 28
        for option in asked(said, bound):
            if len(bytes(fixed / DHCP(options=[*options, option, "end"]))) <= room:
                options.append(option)
    payload = bytes(fixed / DHCP(options=[*options, "end"])).ljust(300, b"\0")
    to_all = name == "nak" or (ciaddr == NOWHERE and (said.broadcast or not leased))
    target = EVERYWHERE if to_all else ciaddr if ciaddr != NOWHERE else address
    header = IP(src=str(SERVER), dst=target, tos=0x10, id=0, flags="DF", ttl=64) / UDP(sport=67, dport=68)
    return name, Ether(dst=EVERYBODY if to_all else GUEST, src=ROUTER, type=0x800) / header / payload


@pytest.mark.parametrize("seed", range(4))
def test_a_request_is_read_as_it_was_meant(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(50):
        said = choose(rng)
        read = message.decode(message.essence(open_udp(packet(said, rng), 67)[0]))
        numbers = {"discover": 1, "request": 3, "inform": 8}
        assert (read.message_type, read.broadcast, read.rapid_commit) == (
            *(numbers[said.kind], said.broadcast, said.rapid_commit),
        )
        assert (str(IPv4Address(read.ciaddr)), read.mac) == (said.ciaddr, MAC)
        names = ("requested_addr", "server_id", "client_id", "param_req_list")
        found = (read.requested_address, read.server, read.client_identifier, read.parameters)
        assert found == tuple(in_bytes(said.options[name]) for name in names)
        assert read.maximum_size == (said.options["max_dhcp_size"] or 576)


def in_bytes(value: str | bytes | list[int] | None) -> bytes | None:
    return IPv4Address(value).packed if isinstance(value, str) else None if value is None else bytes(value)


@pytest.mark.parametrize("seed", range(8))
def test_an_answer_is_the_one_that_scapy_would_make(seed: int) -> None:
    rng = random.Random(seed)
    remembered = 0
    for _ in range(12):
        said, bound = choose(rng), binding(rng)
        kept = answering.prepare(bound, SITE, ROUTER_MAC)
        assert kept is not None
        name, frame = expected(said, bound)
        order = rng.getrandbits(32)
        for _ in range(3):  # made, and in most cases remembered by its essence and as it stands
            outcome, found = answering.answer(kept, packet(said, random.Random(order)), MAC)
            assert (outcome.name, found) == (name, None if frame is None else bytes(frame))
            said = said._replace(xid=rng.getrandbits(32))
            name, frame = expected(said, bound)
        remembered += len(kept.by_message)
    assert 3 <= remembered <= 12


def test_the_conversations_are_of_all_kinds() -> None:
    rng = random.Random(0)
    kinds = {expected(choose(rng), binding(rng))[0] for _ in range(60)}
    assert kinds == {"offer", "ack", "ack_rapid_commit", "ack_inform", "nak", "no_address"}
