# SPDX-License-Identifier: BSD-2-Clause
"""A node with taps in a network namespace, a filter on them, and what guests and others send by them."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any, NamedTuple

from scapy.layers.l2 import Ether
from scapy.packet import Packet

from kvm_ifup.filtering.part import Filter
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.port import BridgePort, Port, RoutedPort, Sources
from kvm_ifup.profile import BUILT_IN, Allowance, Profile
from tests.unit import kvm_ifup_ports
from tests.unit.netspace import own_network

_TUNSETIFF = 0x400454CA  # linux/if_tun.h
_IFF_TAP, _IFF_NO_PI = 2, 0x1000
_FRAME = 1 << 16

# For documentation: RFC 5737 and RFC 3849.
MAC, PEER_MAC, NODE_MAC = "52:54:00:00:00:0a", "52:54:00:00:00:0b", "52:54:00:00:00:01"
IP, PEER, OTHER = "198.51.100.10", "203.0.113.9", "198.51.100.66"
IP6, PEER6, OTHER6 = "2001:db8:5::5054:ff:fe00:a", "2001:db8:9::9", "2001:db8:5::66"
LOCAL, OTHER_LOCAL = "fe80::5054:ff:fe00:a", "fe80::66"
ALL, ROUTERS = "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:02"

BRIDGE = "br0"
MARKED = b"what-the-test-sent"

SITE = Profile(
    "site",
    False,
    (
        Allowance("tcp", ((80, 80), (8000, 8010)), (IPv4Network("203.0.113.0/24"), IPv6Network("2001:db8:9::/48"))),
        Allowance("udp", ((5000, 5000),)),
        Allowance("47"),
    ),
)
ROUTED = RoutedPort("main", None, None, bytes.fromhex(NODE_MAC.replace(":", "")))
SETTINGS = FilterSettings({profile.name: profile for profile in (*BUILT_IN, SITE)})


def sh(*argv: str, stdin: str = "") -> str:
    """What the program prints; one that fails fails the test."""
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    return done.stdout


class Wire:
    """What is at the other side of a tap: a guest, or somebody on the network."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self._descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))

    def close(self) -> None:
        os.close(self._descriptor)

    def send(self, frame: Packet | bytes) -> None:
        """The kernel has dealt with *frame* when this returns."""
        os.write(self._descriptor, bytes(frame))

    def received(self) -> list[bytes]:
        found = []
        while True:
            try:
                found.append(os.read(self._descriptor, _FRAME))
            except BlockingIOError:
                return found


class Place(NamedTuple):
    """One guest, and whom it talks to."""

    guest: Wire
    peer: Wire
    port: Port
    filter: Filter
    next_mac: str
    """Of the first who gets what the guest sends to its peer."""

    @property
    def is_bridged(self) -> bool:
        return isinstance(self.port.connection, BridgePort)

    def make(self, **changes: Any) -> Port:
        """The filter of the port with these *changes*."""
        port = self.port._replace(**changes)
        self.filter.check(port)
        self.filter.make(port)
        return port

    def passes_out(self, packet: Packet) -> bool:
        """Whether what the guest sends to its peer comes there; *packet* is what is in the frame."""
        return self._passes(self.guest, Ether(src=MAC, dst=self.next_mac) / packet, self.peer)

    def passes_in(self, packet: Packet) -> bool:
        """Whether what the peer sends comes to the guest."""
        destination = MAC if self.is_bridged else NODE_MAC
        return self._passes(self.peer, Ether(src=PEER_MAC, dst=destination) / packet, self.guest)

    def _passes(self, source: Wire, frame: Packet, target: Wire) -> bool:
        target.received()
        source.send(frame / MARKED)
        return any(MARKED in found for found in target.received())


def port(tap: str, connection: BridgePort | RoutedPort) -> Port:
    """A guest with one address of each family."""
    networks6 = (IPv6Network(IP6), IPv6Network(LOCAL))
    return kvm_ifup_ports.port(connection, tap)._replace(
        instance="vm0",
        nic_uuid="b1b9a2f6-0b0c-4d0d-8a51-6d1ffb5a1d11",
        mac=bytes.fromhex(MAC.replace(":", "")),
        ip=IPv4Address(IP),
        ip6=IPv6Address(IP6),
        sources=Sources((IPv4Network(IP),), networks6),
    )


@contextmanager
def node() -> Iterator[dict[str, Place]]:
    """A guest on a bridge with a neighbour, and one that the node routes for; by how they are connected."""
    with own_network(), ExitStack() as stack:
        sysctl("ipv6/conf/default/disable_ipv6", "1")
        sh("ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        sh("ip", "link", "set", BRIDGE, "up")
        guest, peer = (stack.enter_context(_wire(name)) for name in ("tap0", "peer0"))
        for wire in (guest, peer):
            sh("ip", "link", "set", wire.name, "master", BRIDGE, "up")
        built = Filter(SETTINGS)
        bridged = Place(guest, peer, port("tap0", BridgePort(BRIDGE)), built, PEER_MAC)
        sysctl("ipv6/conf/default/disable_ipv6", "0")
        sysctl("ipv6/conf/default/accept_dad", "0")
        guest, peer = (stack.enter_context(_wire(name)) for name in ("tap1", "peer1"))
        for wire, mac, routes in (
            (guest, MAC, (IP, IP6)),
            (peer, PEER_MAC, ("203.0.113.0/24", "2001:db8:9::/48")),
        ):
            sh("ip", "link", "set", wire.name, "address", NODE_MAC, "up")
            for route in routes:
                sh("ip", "route", "add", route, "dev", wire.name)
            for address in (IP, IP6) if mac == MAC else (PEER, PEER6):
                sh("ip", "neigh", "add", address, "lladdr", mac, "dev", wire.name, "nud", "permanent")
        sysctl("ipv4/ip_forward", "1")
        sysctl("ipv6/conf/all/forwarding", "1")
        routed = Place(guest, peer, port("tap1", ROUTED), built, NODE_MAC)
        yield {"bridged": bridged, "routed": routed}


def sysctl(name: str, value: str) -> None:
    Path("/proc/sys/net", name).write_text(f"{value}\n", encoding="ascii")


@contextmanager
def _wire(name: str) -> Iterator[Wire]:
    wire = Wire(name)
    try:
        yield wire
    finally:
        wire.close()
