# SPDX-License-Identifier: BSD-2-Clause
"""The filter made, changed, broken and taken away, each of it twice."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from ganeti_cloud.errors import CloudError
from kvm_ifup.filtering import kernel
from kvm_ifup.filtering.part import Filter
from kvm_ifup.filtering.tap import KINDS, chain_name
from kvm_ifup.port import BridgePort, Isolation, Port, Rates, Sources, Vlans
from tests.unit import kvm_ifup_guests as guests
from tests.unit.kvm_ifup_guests import SETTINGS, Place, Wire, sh
from tests.unit.netspace import own_network

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces and taps are for root"),
]

FILTER = Filter(SETTINGS)


@pytest.fixture
def taps() -> Iterator[list[Port]]:
    """Two taps without anything, in a network of their own."""
    with own_network():
        for name in ("tap0", "tap1"):
            sh("ip", "tuntap", "add", name, "mode", "tap")
        yield [guests.port(name, BridgePort("br0")) for name in ("tap0", "tap1")]


def ruleset() -> str:
    """What there is, without what changes by itself."""
    return re.sub(r"packets \d+ bytes \d+", "", sh("nft", "list", "ruleset"))


def rich(port: Port) -> Port:
    """The same tap with all that there can be."""
    return port._replace(
        connection=BridgePort("br0", Vlans(1, (5, 6))),
        isolation=Isolation(bytes.fromhex("fffff0000000")),
        rates=Rates(1000, 2000),
        sources=Sources((IPv4Network("198.51.100.0/24"), IPv4Network("192.0.2.7/32")), None),
    )


def chains(tap: str) -> list[str]:
    return [name for name in kernel.chains() if name in [chain_name(kind, tap) for kind in KINDS]]


def test_twice_is_once(taps: list[Port]) -> None:
    first, second = taps
    FILTER.make(first)
    once = ruleset()
    FILTER.make(first)
    assert ruleset() == once
    FILTER.make(second)
    both = ruleset()
    FILTER.make(rich(second))
    assert ruleset() != both
    FILTER.make(second)
    # Also the order of what is there.
    assert ruleset() == both
    FILTER.unmake(second)
    assert ruleset() == once
    FILTER.unmake(second)
    assert ruleset() == once
    FILTER.unmake(first)
    assert (chains("tap0"), chains("tap1")) == ([], [])


def test_nothing_to_unmake(taps: list[Port]) -> None:
    FILTER.unmake(taps[0])
    FILTER.sweep(["tap0", "nosuch", "x' ; {"])
    assert (FILTER.strays([]), FILTER.dropped(), ruleset()) == ({}, {}, "")


@pytest.mark.parametrize("kind", KINDS)
def test_half_of_it(taps: list[Port], kind: str) -> None:
    """Whatever chain is there alone or missing alone: it can be made, and it can be unmade."""
    FILTER.make(taps[1])
    without = ruleset()
    sh("nft", "add", "chain", "netdev", "ganeti-cloud", chain_name(kind, "tap0"))
    assert FILTER.problems(taps) != {}
    FILTER.unmake(taps[0])
    assert ruleset() == without
    sh("nft", "add", "chain", "netdev", "ganeti-cloud", chain_name(kind, "tap0"))
    FILTER.make(taps[0])
    assert FILTER.problems(taps) == {}
    FILTER.unmake(taps[0])
    assert ruleset() == without


def test_tables_of_others_stay(taps: list[Port]) -> None:
    for family in ("netdev", "inet", "bridge"):
        sh("nft", "-f", "-", stdin=f"table {family} other {{ chain in-tap0 {{\nreturn\n}}\n}}\n")
    before = ruleset()
    FILTER.make(taps[0])
    FILTER.unmake(taps[0])
    sh("nft", "delete", "table", "netdev", "ganeti-cloud")
    assert ruleset() == before
    assert FILTER.strays([]) == {}


def test_a_tap_that_is_not_there(taps: list[Port]) -> None:
    with pytest.raises(CloudError) as caught:
        FILTER.make(taps[0]._replace(tap="tap9"))
    assert str(caught.value) == "there is no tap tap9"
    assert ruleset() == ""


def test_a_tap_that_went_and_came_back_as_another_guests(taps: list[Port]) -> None:
    for port in taps:
        FILTER.make(port)
    sh("ip", "link", "del", "tap0")
    assert list(FILTER.problems(taps)) == ["tap0"]
    assert list(FILTER.strays(taps[1:])) == ["tap0"]
    sh("ip", "tuntap", "add", "tap0", "mode", "tap")
    other = taps[0]._replace(mac=bytes.fromhex("525400000099"), sources=Sources((), ()))
    FILTER.make(other)
    assert FILTER.problems([other, taps[1]]) == {}
    assert "525400000099" in sh("nft", "list", "chain", "netdev", "ganeti-cloud", "in-tap0")
    assert list(FILTER.problems(taps)) == ["tap0"]
    sh("ip", "link", "del", "tap0")
    FILTER.unmake(other)
    sh("ip", "link", "del", "tap1")
    FILTER.sweep(["tap1"])
    assert (FILTER.strays([]), chains("tap0"), chains("tap1")) == ({}, [], [])


@pytest.mark.parametrize("kind", KINDS)
def test_what_somebody_changed_is_found_and_mended(taps: list[Port], kind: str) -> None:
    ports = [rich(port)._replace(profile="protected", connection=guests.ROUTED) for port in taps]
    for port in ports:
        FILTER.make(port)
    assert FILTER.problems(ports) == {}
    chain = chain_name(kind, "tap1")
    sh("nft", "insert", "rule", "netdev", "ganeti-cloud", chain, "accept")
    assert FILTER.problems(ports) == {"tap1": f"the chain {chain} has other rules"}
    FILTER.make(ports[1])
    assert FILTER.problems(ports) == {}
    sh("nft", "flush", "chain", "netdev", "ganeti-cloud", chain)
    assert FILTER.problems(ports) == {"tap1": f"the chain {chain} has other rules"}
    FILTER.make(ports[1])
    if kind in ("in", "out"):
        sh("nft", "delete", "chain", "netdev", "ganeti-cloud", chain)
        assert FILTER.problems(ports) == {"tap1": f"the chain {chain} is missing"}
        sh("nft", "add", "chain", "netdev", "ganeti-cloud", chain)
        assert FILTER.problems(ports) == {"tap1": f"the chain {chain} is not at tap1"}
        FILTER.make(ports[1])
    assert FILTER.problems(ports) == {}


def test_all_of_it_gone(taps: list[Port]) -> None:
    ports = [port._replace(profile="protected", connection=guests.ROUTED) for port in taps]
    for port in ports:
        FILTER.make(port)
    sh("nft", "flush", "ruleset")
    gone = "the table is missing, or was made with other settings"
    assert FILTER.problems(ports) == dict.fromkeys(("tap0", "tap1"), gone)
    for port in ports:
        FILTER.make(port)
    assert FILTER.problems(ports) == {}


def test_other_settings(taps: list[Port]) -> None:
    FILTER.make(taps[0])
    other = Filter(SETTINGS._replace(ethertypes=(0x8847,)))
    assert list(other.problems(taps[:1])) == ["tap0"]
    other.make(taps[1])
    assert other.problems(taps) == {}
    assert list(FILTER.problems(taps)) == ["tap0", "tap1"]
    FILTER.make(taps[1])
    assert FILTER.problems(taps) == {}


def test_two_rules_of_one_place_are_never_there_together(taps: list[Port]) -> None:
    """A change of the settings replaces the rules of the common chains, and adds none."""
    FILTER.make(taps[0])
    before = ruleset()
    Filter(SETTINGS._replace(ethertypes=(0x8847,))).make(taps[0])
    FILTER.make(taps[0])
    assert ruleset() == before


def test_a_transaction_that_the_kernel_refuses_changes_nothing(taps: list[Port]) -> None:
    FILTER.make(taps[0])
    before = ruleset()
    wrong = taps[0]._replace(profile="nosuch", mac=bytes.fromhex("525400000099"))
    with pytest.raises(CloudError) as caught:
        kernel.make(wrong, is_open=False)
    assert str(caught.value) == "the filter of tap0: No such file or directory"
    assert caught.value.hint == "kvm-ifup reconcile makes what is missing of the table"
    assert ruleset() == before


def test_it_is_for_root(taps: list[Port]) -> None:
    os.seteuid(65534)
    try:
        with pytest.raises(CloudError) as caught:
            FILTER.make(taps[0])
    finally:
        os.seteuid(0)
    assert "Operation not permitted" in str(caught.value)
    assert caught.value.hint == "run as root"


def test_odd_names_of_taps(taps: list[Port]) -> None:
    name = "t@p.\"';{#$*\\-"
    sh("ip", "tuntap", "add", name, "mode", "tap")
    port = taps[0]._replace(tap=name)
    FILTER.make(port)
    assert FILTER.problems([port]) == {}
    assert list(FILTER.strays([])) == [name]
    FILTER.unmake(port)
    assert FILTER.strays([]) == {}


def test_nft_reads_it_too(taps: list[Port]) -> None:
    for port in (taps[0], rich(taps[1])._replace(profile="site", connection=guests.ROUTED)):
        FILTER.make(port)
    rows = json.loads(sh("nft", "-j", "list", "ruleset"))["nftables"]
    names = {row["chain"]["name"] for row in rows if "chain" in row}
    assert {chain_name(kind, tap) for kind in KINDS for tap in ("tap0", "tap1")} <= names
    assert json.dumps(rows).count("expr") > 100


def test_no_packet_passes_while_it_is_made_again() -> None:
    """A guest floods with another's address, and gets not one through all the changes."""
    with guests.node() as made:
        place: Place = made["bridged"]
        place.make()
        forged = bytes(Ether(src=guests.MAC, dst=guests.ALL) / IP(src=guests.OTHER, dst=guests.PEER) / UDP())
        pid = os.fork()
        if pid == 0:
            while True:
                place.guest.send(forged)
        try:
            for number in range(60):
                place.make(rates=Rates(1000 + number, None))
                if number % 2:
                    place.make(connection=BridgePort(guests.BRIDGE, Vlans(1, (5,))))
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        assert place.peer.received() == []
        assert place.filter.dropped()["ipv4"] > 1000
        place.filter.unmake(place.port)
        place.guest.send(forged)
        assert place.peer.received() == [forged]


def test_a_listing_while_rules_change_is_made_again(taps: list[Port]) -> None:
    """The kernel says when a listing may have missed something: it is made again, and that is no error."""
    names = [f"t{number}" for number in range(150)]
    sh("ip", "-batch", "-", stdin="".join(f"tuntap add {name} mode tap\n" for name in names))
    ports = [taps[0]._replace(tap=name) for name in names]
    for port in ports:
        FILTER.make(port)
    pid = os.fork()
    if pid == 0:
        while True:
            FILTER.make(taps[1])
            FILTER.unmake(taps[1])
            time.sleep(0.02)
    try:
        for _ in range(5):
            assert FILTER.problems(ports) == {}
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_a_wire_is_a_tap() -> None:
    with own_network():
        wire = Wire("tap5")
        assert kernel.exists("tap5")
        wire.close()
        assert not kernel.exists("tap5")
