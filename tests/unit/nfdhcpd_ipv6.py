# SPDX-License-Identifier: BSD-2-Clause
"""A guest with IPv6 and what it sends, made by scapy, which also reads the answers: it shares no code with ours."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from scapy.layers import dhcp6 as dhcp6
from scapy.layers import inet6 as inet6
from scapy.layers.inet import UDP as UDP
from scapy.layers.l2 import Ether as Ether

from ganeti_cloud.binding import Binding
from nfdhcpd.settings import Ipv6Settings

MAC = bytes.fromhex("aa00000a0b0c")
ROUTER_MAC = bytes.fromhex("fe0000000001")
DUID = bytes.fromhex("0004") + bytes(range(16))

MAC_TEXT = "aa:00:00:0a:0b:0c"
ROUTER_MAC_TEXT = "fe:00:00:00:00:01"
GUEST = "fe80::a800:ff:fe0a:b0c"
ADDRESS = "2001:db8:7:0:a800:ff:fe0a:b0c"
ROUTER = "fe80::fc00:ff:fe00:1"
GATEWAY = "2001:db8:7::1"
ALL_NODES = "ff02::1"
ALL_NODES_MAC = "33:33:00:00:00:01"
ALL_ROUTERS = "ff02::2"
ALL_SERVERS = "ff02::1:2"
UNSPECIFIED = "::"

BINDING = Binding(
    tap="tap7",
    mac=MAC,
    hostname="web",
    indev="tap7",
    subnet6=IPv6Network("2001:db8:7::/64"),
    gateway6=IPv6Address(GATEWAY),
)
SITE = Ipv6Settings(
    enabled=True,
    rs_queue=43,
    ns_queue=44,
    dhcp6_queue=45,
    mode="dhcpv6",
    ra_period=300,
    lease_time=80000,
    renewal_time=3600,
    nameservers=(IPv6Address("2001:db8::53"), IPv6Address("2001:db8::54")),
    search_domains=("example.com", "example.net"),
    duid=DUID,
)


def solicited_node(target: str) -> str:
    """RFC 4291, 2.7.1."""
    return str(IPv6Address(int(IPv6Address("ff02::1:ff00:0")) | int(IPv6Address(target)) & 0xFFFFFF))


def header(source: str = GUEST, destination: str = ALL_ROUTERS, hop_limit: int = 255) -> Any:
    return inet6.IPv6(src=source, dst=destination, hlim=hop_limit)


def router_solicitation(source: str = GUEST, mac: str | None = MAC_TEXT) -> Any:
    packet = header(source) / inet6.ICMPv6ND_RS()
    return packet if mac is None else packet / inet6.ICMPv6NDOptSrcLLAddr(lladdr=mac)


def neighbour_solicitation(
    target: str, source: str = GUEST, mac: str | None = MAC_TEXT, destination: str | None = None
) -> Any:
    packet = header(source, solicited_node(target) if destination is None else destination)
    packet /= inet6.ICMPv6ND_NS(tgt=target)
    return packet if mac is None else packet / inet6.ICMPv6NDOptSrcLLAddr(lladdr=mac)


def duplicate_detection(target: str) -> Any:
    return neighbour_solicitation(target, UNSPECIFIED, None)


def client_message(message: Any, *options: Any, source: str = GUEST, destination: str = ALL_SERVERS) -> Any:
    packet = header(source, destination, 1) / UDP(sport=546, dport=547) / message
    for option in options:
        packet /= option
    return packet


def dissected(frame: bytes | None) -> Any:
    """*frame* as scapy sees it: to its end, and with the lengths and checksums that scapy would have made."""
    assert frame is not None
    copy = Ether(frame)
    assert {type(each).__name__ for each in layers(copy)} & {"Raw", "Padding"} == set()
    for layer in layers(copy):
        computed = ("plen", "len", "chksum") if isinstance(layer, (inet6.IPv6, UDP)) else ("cksum",)
        for name in set(computed) & set(layer.fields):
            delattr(layer, name)
    assert bytes(copy) == frame
    return Ether(frame)


def layers(packet: Any) -> Iterator[Any]:
    while packet:
        yield packet
        packet = packet.payload
