# SPDX-License-Identifier: BSD-2-Clause
"""The filter under the kernel of a guest: what it sends by itself passes, and connections go on through a change."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import NamedTuple

import pytest

from kvm_ifup.filtering.part import Filter
from kvm_ifup.filtering.settings import FilterSettings
from kvm_ifup.port import BridgePort, Port, Rates, Sources
from kvm_ifup.profile import BUILT_IN
from lab.rooms import Room, wait_for
from tests.network.clients import LINK
from tests.network.node import BRIDGE, Guest, Host

_LIMIT_S = 10.0
_REFUSED_S = 1.0

FILTER = Filter(FilterSettings({profile.name: profile for profile in BUILT_IN}))


class Two(NamedTuple):
    """A guest with the filter on its tap, and one without, on the same bridge."""

    node: Room
    guest: Guest
    peer: Guest

    def apply(self, profile: str) -> None:
        """Make the filter of the guest, as with each of its starts and refreshes."""
        address6 = IPv6Address(self.guest.address6)
        local = IPv6Address((0xFE80 << 112) + (int(address6) & (1 << 64) - 1))
        port = Port(
            tap=self.guest.tap,
            instance="vm0",
            nic_index=0,
            nic_uuid="b1b9a2f6-0b0c-4d0d-8a51-6d1ffb5a1d11",
            mac=bytes.fromhex(self.guest.mac.replace(":", "")),
            connection=BridgePort(BRIDGE),
            ip=IPv4Address(self.guest.address),
            ip6=address6,
            sources=Sources((IPv4Network(self.guest.address),), (IPv6Network(address6), IPv6Network(local))),
            macspoof=False,
            profile=profile,
            isolation=None,
            rates=Rates(),
            mtu=None,
            binding=None,
            network="",
            network_tags=(),
            instance_tags=(),
        )
        with self.node.network():
            FILTER.check(port)
            FILTER.make(port)

    def dropped(self) -> dict[str, int]:
        with self.node.network():
            return {reason: number for reason, number in FILTER.dropped().items() if number}


@pytest.fixture
def two(host: Host) -> Iterator[Two]:
    made = Two(host.room, host.guest(bridged=True), host.guest(bridged=True))
    # Nobody may look at anything before the filter is there.
    made.apply("protected")
    for guest in (made.guest, made.peer):
        # With detection of duplicates, as it is with every guest.
        guest.room.sysctl(f"ipv6.conf.{LINK}.accept_dad=1")
        guest.room.ip(f"link set {LINK} down", f"link set {LINK} up")
        guest.room.ip(f"address add {guest.address}/24 dev {LINK}", f"address add {guest.address6}/64 dev {LINK}")
    for guest in (made.guest, made.peer):
        wait_for("addresses", lambda room=guest.room: "tentative" not in room.run(["ip", "address"]))  # type: ignore[misc]
    yield made


def addresses(two: Two, family: str) -> tuple[str, str]:
    if family == "ipv4":
        return two.guest.address, two.peer.address
    return two.guest.address6, two.peer.address6


@pytest.fixture(params=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def listening(room: Room, address: str, port: int) -> socket.socket:
    with room.network():
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.create_server((address, port), family=kind)
    server.settimeout(_LIMIT_S)
    return server


def connected(room: Room, address: str, port: int, timeout_s: float = _LIMIT_S) -> socket.socket:
    with room.network():
        return socket.create_connection((address, port), timeout=timeout_s)


def received(end: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (piece := end.recv(size - len(found))):
        found += piece
    return found


def test_a_guest_comes_up_and_nothing_of_it_is_dropped(two: Two, family: str) -> None:
    own, peer = addresses(two, family)
    assert "dadfailed" not in two.guest.room.run(["ip", "address"])
    two.guest.room.run(["ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", "4000", peer])
    two.peer.room.run(["ping", "-c", "2", "-i", "0.2", "-W", "5", "-s", "4000", own])
    assert two.dropped() == {}


def test_connections_go_on_through_a_change_of_the_profile(two: Two, family: str) -> None:
    own, peer = addresses(two, family)
    two.apply("limited")
    with ExitStack() as stack:
        out_server = stack.enter_context(listening(two.peer.room, peer, 7000))
        in_server = stack.enter_context(listening(two.guest.room, own, 22))
        ours = stack.enter_context(connected(two.guest.room, peer, 7000))
        theirs = stack.enter_context(connected(two.peer.room, own, 22))
        pairs = [(ours, out_server.accept()[0]), (in_server.accept()[0], theirs)]
        stack.enter_context(pairs[0][1])
        stack.enter_context(pairs[1][0])
        for profile in ("limited", "protected", "unprotected", "protected"):
            two.apply(profile)
            for inside, outside in pairs:
                inside.settimeout(_LIMIT_S)
                outside.settimeout(_LIMIT_S)
                outside.sendall(b"to the guest" * 1000)
                assert received(inside, 12000) == b"to the guest" * 1000
                inside.sendall(b"from the guest")
                assert received(outside, 14) == b"from the guest"
        # What is new is another matter.
        with pytest.raises(TimeoutError):
            connected(two.peer.room, own, 22, _REFUSED_S)
        assert two.dropped()["profile"] > 0
        two.apply("limited")
        stack.enter_context(connected(two.peer.room, own, 22))


def test_a_guest_that_takes_anothers_address(two: Two) -> None:
    stolen = two.peer.address
    room = two.guest.room
    room.ip(f"address add {stolen}/24 dev {LINK}")
    bait = str(IPv4Address(two.guest.address) + 50)
    two.peer.room.ip(f"address add {bait}/24 dev {LINK}")
    with pytest.raises(Exception, match="ping"):
        room.run(["ping", "-c", "1", "-W", "1", "-I", stolen, bait])
    assert two.dropped().get("ipv4", 0) + two.dropped().get("arp", 0) > 0
    assert not any(two.guest.mac in line and stolen in line for line in two.peer.room.run(["ip", "neigh"]).splitlines())


def test_a_guest_that_takes_anothers_mac(two: Two) -> None:
    room = two.guest.room
    room.ip(f"link set {LINK} down", f"link set {LINK} address {two.peer.mac}", f"link set {LINK} up")
    with pytest.raises(Exception, match="ping"):
        room.run(["ping", "-c", "1", "-W", "1", two.peer.address])
    assert two.dropped()["mac"] > 0
    assert set(two.dropped()) == {"mac"}
