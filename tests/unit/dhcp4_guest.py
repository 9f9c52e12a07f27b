# SPDX-License-Identifier: BSD-2-Clause
"""A guest for tests: it makes DHCPv4 messages, right and wrong."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv4Network
from typing import NamedTuple

from ganeti_cloud.binding import Binding
from nfdhcpd.dhcp4 import answering
from nfdhcpd.settings import Dhcp4Settings
from nfdhcpd.wire import ipv4

MAC = bytes.fromhex("525400aabb01")
ROUTER_MAC = bytes.fromhex("fe5400aabb01")
ADDRESS = IPv4Address("198.51.100.5")
OTHER_ADDRESS = IPv4Address("198.51.100.6")
SERVER = IPv4Address("192.0.2.1")
EVERYWHERE = "255.255.255.255"
NOWHERE = "0.0.0.0"
COOKIE = bytes.fromhex("63825363")

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE, INFORM = range(1, 9)

SITE = Dhcp4Settings(
    enabled=True,
    queue=42,
    server_address=SERVER,
    server_on_link=False,
    lease_time=7200,
    renewal_time=600,
    nameservers=(IPv4Address("192.0.2.53"), IPv4Address("192.0.2.54")),
    domain="example.org",
    search_domains=(),
    ntp_servers=(IPv4Address("192.0.2.123"),),
)

BINDING = Binding(
    tap="tap0",
    mac=MAC,
    hostname="web1.example.com",
    indev="tap0",
    ip=ADDRESS,
    subnet=IPv4Network("198.51.100.0/24"),
    gateway=IPv4Address("198.51.100.1"),
)


def option(code: int, value: bytes = b"") -> bytes:
    """One option on the wire."""
    return bytes((code, len(value))) + value


def asks_for(*codes: int) -> bytes:
    """The parameter request list."""
    return option(55, bytes(codes))


def wants(address: IPv4Address) -> bytes:
    """The requested IP address."""
    return option(50, address.packed)


def at(server: IPv4Address = SERVER) -> bytes:
    """The server identifier."""
    return option(54, server.packed)


class Fixed(NamedTuple):
    """The fixed part of a message."""

    op: int = 1
    htype: int = 1
    hlen: int = 6
    hops: int = 0
    xid: int = 0x3903F326
    secs: int = 0
    flags: int = 0
    ciaddr: bytes = bytes(4)
    yiaddr: bytes = bytes(4)
    siaddr: bytes = bytes(4)
    giaddr: bytes = bytes(4)
    chaddr: bytes = MAC
    sname: bytes = b""
    file: bytes = b""
    cookie: bytes = COOKIE


def message(kind: int | None, *options: bytes, fixed: Fixed | None = None, end: bytes = b"\xff") -> bytes:
    """The payload of UDP: a message of the type *kind*, unless that is None."""
    first = () if kind is None else (option(53, bytes((kind,))),)
    head = struct.pack("!BBBBIHH4s4s4s4s16s64s128s4s", *(fixed or Fixed()))
    return (head + b"".join(first + options) + end).ljust(300, b"\0")


def datagram(payload: bytes, source: str = NOWHERE, destination: str = EVERYWHERE) -> bytes:
    """*payload* on its way to a server."""
    return ipv4.udp_datagram(IPv4Address(source).packed, IPv4Address(destination).packed, 68, 67, payload)


def prepared(binding: Binding = BINDING, site: Dhcp4Settings = SITE) -> answering.Prepared:
    """What the daemon keeps for the guest of *binding*."""
    made = answering.prepare(binding, site, ROUTER_MAC)
    assert made is not None
    return made
