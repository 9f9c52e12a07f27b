# SPDX-License-Identifier: BSD-2-Clause
"""Routed guests, with real packets: to the router, to each other, from one node to another."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.inet6 import ICMPv6ND_NS
from scapy.layers.l2 import Ether

from ganeti_cloud.errors import CloudError, CommandError
from kvm_ifup.port import RoutedPort
from lab.rooms import Room
from tests.network.clients import LINK
from tests.network.cloud import GATEWAY, GATEWAY6, LAN, PREFIX, PREFIX6, TABLE, TAP_MAC, UPLINK, Cloud, Node, routed

ROUTER = (str(GATEWAY), str(GATEWAY6))
GUESTS = [(f"{PREFIX}.{10 + number}", f"{PREFIX6}:{10 + number}") for number in range(2)]
NOT_THERE = (f"{PREFIX}.99", f"{PREFIX6}:99")

both_families = pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])


@pytest.fixture
def cloud(needed: None, tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        yield Cloud(stack, tmp_path)


@pytest.fixture
def node(cloud: Cloud) -> Node:
    return cloud.node()


def reaches(room: Room, address: object, *, wait_s: float = 1) -> bool:
    """Whether an answer comes to one packet."""
    try:
        room.run(["ping", "-n", "-q", "-c", "1", "-W", str(wait_s), str(address)])
    except CommandError:
        return False
    return True


def mac_that(room: Room, address: str) -> str:
    """What the neighbour table of *room* has for *address*."""
    words = room.run(["ip", "neigh", "show", address]).split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


def ears_on(room: Room, link: str) -> socket.socket:
    """Hears all frames of *link*, those that leave by it as well."""
    with room.network():
        ears = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    ears.bind((link, 3))
    ears.setblocking(False)
    return ears


def heard(ears: socket.socket) -> list[bytes]:
    """What has been heard since the last time."""
    frames = []
    while True:
        try:
            frames.append(ears.recv(2048))
        except BlockingIOError:
            return frames


@both_families
def test_a_guest_and_the_router_reach_each_other(cloud: Cloud, node: Node, family: int) -> None:
    guest = cloud.guest(node, 0)
    assert not reaches(guest, ROUTER[family], wait_s=0.2)
    node.room.sysctl("ipv4.ip_forward=0")
    node.make(routed(0))
    assert reaches(guest, ROUTER[family])
    assert reaches(cloud.router, GUESTS[0][family])


@both_families
def test_guests_of_one_node_reach_each_other(cloud: Cloud, node: Node, family: int) -> None:
    guests = [cloud.guest(node, number) for number in range(2)]
    for number in range(2):
        node.make(routed(number))
    assert reaches(guests[0], GUESTS[1][family])
    assert reaches(guests[1], GUESTS[0][family])


def test_the_guest_is_never_asked_for_its_mac_and_finds_the_gateway_at_the_taps(cloud: Cloud, node: Node) -> None:
    guest = cloud.guest(node, 0)
    with ears_on(guest, LINK) as ears:
        node.make(routed(0))
        for family in range(2):
            assert reaches(cloud.router, GUESTS[0][family])
            assert reaches(guest, ROUTER[family])
            assert mac_that(guest, ROUTER[family]) == TAP_MAC.hex(":")
        frames = [frame for frame in map(Ether, heard(ears)) if frame.src == TAP_MAC.hex(":")]
    assert [(frame["ARP"].op, frame["ARP"].psrc) for frame in frames if "ARP" in frame] == [(2, str(GATEWAY))]
    # The node solicits its own link-local address when that is detected as a duplicate, and nobody else's.
    asked = [frame[ICMPv6ND_NS].tgt for frame in frames if ICMPv6ND_NS in frame]
    assert [target for target in asked if not target.startswith("fe80:")] == []


@both_families
def test_a_guest_that_moves_is_found_at_once(cloud: Cloud, family: int) -> None:
    old, new = cloud.node(), cloud.node()
    before = old.all_there_is()
    guest = cloud.guest(old, 0)
    old.make(routed(0))
    assert reaches(cloud.router, GUESTS[0][family])
    there = mac_that(cloud.router, GUESTS[0][family])
    # As in a live migration: the tap of the new node is made before that of the old one goes.
    moved = cloud.guest(new, 0)
    new.make(routed(0))
    guest.ip(f"link set {LINK} down")
    assert reaches(cloud.router, GUESTS[0][family], wait_s=0.5)
    assert mac_that(cloud.router, GUESTS[0][family]) not in ("", there)
    assert reaches(moved, ROUTER[family])
    old.unmake(routed(0))
    assert old.all_there_is() == before
    assert reaches(cloud.router, GUESTS[0][family])


@both_families
def test_the_node_answers_for_its_guests_and_for_nothing_else(cloud: Cloud, node: Node, family: int) -> None:
    cloud.guest(node, 0)
    node.make(routed(0))
    assert not reaches(cloud.router, NOT_THERE[family], wait_s=0.5)
    assert mac_that(cloud.router, NOT_THERE[family]) == ""


@both_families
def test_without_an_uplink_nothing_leaves_by_the_nodes_own_network(cloud: Cloud, node: Node, family: int) -> None:
    guest = cloud.guest(node, 0)
    node.make(routed(0))
    outside = ip_address(("192.0.2.77", "2001:db8:ffff::77")[family])
    at = 14 + (16, 24)[family]  # the destination in the header of IP
    node.room.ip("address add 2001:db8:9::2/64 dev mgmt nodad", "route add default via 2001:db8:9::1 dev mgmt")
    node.room.ip("link set mgmt arp off", f"route del default via {ROUTER[family]} table {TABLE}")
    with ears_on(node.room, "mgmt") as ears:
        assert not reaches(guest, outside, wait_s=0.3)
        assert [frame for frame in heard(ears) if frame[at : at + len(outside.packed)] == outside.packed] == []
        # As it would be otherwise.
        node.room.run(["ip", f"-{outside.version}", "route", "del", "unreachable", "default", "table", TABLE])
        assert not reaches(guest, outside, wait_s=0.3)
        assert [frame for frame in heard(ears) if frame[at : at + len(outside.packed)] == outside.packed] != []


def test_a_node_that_checks_sources_strictly_still_routes(cloud: Cloud, node: Node) -> None:
    node.room.sysctl("ipv4.conf.all.rp_filter=1")
    guests = [cloud.guest(node, number) for number in range(2)]
    for number in range(2):
        node.make(routed(number))
    assert reaches(guests[0], GATEWAY)
    assert reaches(cloud.router, GUESTS[0][0])
    assert reaches(guests[0], GUESTS[1][0])


def test_a_guest_without_ipv6_does_not_even_reach_the_node_by_it(cloud: Cloud, node: Node) -> None:
    guests = [cloud.guest(node, number) for number in range(2)]
    node.make(routed(0)._replace(ip6=None))
    node.make(routed(1))
    tap = f"fe80::67:61ff:fe6e:6574%{LINK}"
    assert [reaches(guest, tap, wait_s=0.3) for guest in guests] == [False, True]
    assert [reaches(guest, GATEWAY) for guest in guests] == [True, True]


def test_what_a_guest_without_ipv4_sends_by_it_goes_nowhere(cloud: Cloud, node: Node) -> None:
    guest = cloud.guest(node, 0)
    port = routed(0)._replace(ip=None)
    node.make(port)
    outside = ip_address("192.0.2.77")
    guest.ip(f"neigh replace {GATEWAY} lladdr {TAP_MAC.hex(':')} dev {LINK} nud permanent")
    node.room.ip("link set mgmt arp off")
    with ears_on(node.room, "mgmt") as ears:
        assert not reaches(guest, outside, wait_s=0.2)
        assert [frame for frame in heard(ears) if frame[30:34] == outside.packed] == []
        # As it would be otherwise.
        node.room.sysctl("ipv4.conf.tap0.forwarding=1")
        assert not reaches(guest, outside, wait_s=0.2)
        assert [frame for frame in heard(ears) if frame[30:34] == outside.packed] != []
    assert reaches(guest, GATEWAY6)
    assert node.problems(port) == {"tap0": "ipv4.conf.tap0.forwarding is 1 and not 0"}


def test_everything_can_be_done_twice_and_leaves_nothing(cloud: Cloud, node: Node) -> None:
    before = node.all_there_is()
    cloud.guest(node, 0)
    node.make(routed(0))
    made = node.all_there_is()
    assert made != before
    assert (node.problems(routed(0)), node.strays(routed(0))) == ({}, {})
    node.make(routed(0))
    assert node.all_there_is() == made
    for _ in range(2):
        node.unmake(routed(0))
        assert node.all_there_is() == before
    assert node.strays() == {}


def test_a_tap_that_is_gone_leaves_nothing(cloud: Cloud, node: Node) -> None:
    before = node.all_there_is()
    cloud.guest(node, 0)
    node.make(routed(0))
    node.room.ip("link del tap0")
    assert node.strays() == {"tap0": "a rule for table 100"}
    assert node.problems(routed(0)) == {"tap0": "the tap is not there"}
    node.unmake(routed(0))
    assert node.all_there_is() == before


def test_what_is_of_others_stays(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    others = [f"{PREFIX}.77 dev {UPLINK}", f"{PREFIX6}:77 dev {UPLINK}"]
    node.room.ip(*(f"neigh add proxy {each}" for each in others), f"rule add iif tap0 lookup {TABLE} priority 1000")
    node.room.ip(f"route add unreachable 192.0.2.0/24 table {TABLE}")
    before = node.all_there_is()
    node.make(routed(0))
    node.unmake(routed(0))
    node.sweep("tap0")
    assert node.all_there_is() == before


def test_of_two_networks_with_the_same_addresses_each_keeps_its_own(cloud: Cloud, node: Node) -> None:
    for command in ("link add other type bridge", "link set other up"):
        node.room.ip(command)
    for address, gateway in (("4", GATEWAY), ("6", GATEWAY6)):
        prefix = f"{gateway}/32" if address == "4" else f"{gateway}/128"
        node.room.ip(f"route add {prefix} dev other table 200", f"route add default via {gateway} dev other table 200")
        node.room.run(["ip", f"-{address}", "rule", "add", "iif", "other", "lookup", "200"])
    guest = cloud.guest(node, 0)
    cloud.guest(node, 1)
    second = routed(1)._replace(
        ip=routed(0).ip, ip6=routed(0).ip6, connection=RoutedPort("200", GATEWAY, GATEWAY6, TAP_MAC)
    )
    node.make(routed(0))
    alone = node.all_there_is()
    node.make(second)
    assert node.problems(routed(0), second) == {}
    node.unmake(second)
    assert node.all_there_is() == alone
    assert node.problems(routed(0)) == {}
    assert reaches(guest, GATEWAY)


def test_an_address_that_another_guest_has_is_refused(cloud: Cloud, node: Node) -> None:
    guest = cloud.guest(node, 0)
    cloud.guest(node, 1)
    node.make(routed(0))
    before = node.all_there_is()
    twin = routed(1)._replace(ip=routed(0).ip, ip6=None)
    with pytest.raises(CloudError, match=r"^tap1: table 100 has another route for 198.51.100.10$"):
        node.make(twin)
    assert node.problems(twin) == {"tap1": "it is down"}
    node.unmake(twin)
    assert node.all_there_is() == before
    assert reaches(guest, GATEWAY)


DAMAGE = {
    "ip link set tap0 down": "it is down",
    "ip link set tap0 address 02:00:00:00:00:01": "its own MAC is 02:00:00:00:00:01",
    "ip rule del iif tap0": "no rule sends what 198.51.100.10 sends to table 100",
    "ip -6 rule del iif tap0": "no rule sends what 2001:db8:5::10 sends to table 100",
    "ip route del 198.51.100.10 table 100": "table 100 has no route to 198.51.100.10",
    "ip -6 route del 2001:db8:5::10 table 100": "table 100 has no route to 2001:db8:5::10",
    "ip neigh del proxy 198.51.100.10 dev up0": "the node does not answer for 198.51.100.10 on its uplink",
    "ip neigh del proxy 2001:db8:5::10 dev up0": "the node does not answer for 2001:db8:5::10 on its uplink",
    "ip neigh del 198.51.100.10 dev tap0": "the node does not know the MAC of 198.51.100.10",
    "ip neigh replace 198.51.100.10 dev tap0 lladdr 52:54:00:00:00:77 nud permanent": (
        "the node does not know the MAC of 198.51.100.10"
    ),
    "sysctl net.ipv4.conf.tap0.proxy_arp=0": "ipv4.conf.tap0.proxy_arp is 0 and not 1",
    "sysctl net.ipv4.conf.up0.forwarding=0": "ipv4.conf.up0.forwarding is 0 and not 1",
    "sysctl net.ipv4.neigh.up0.proxy_delay=80": "ipv4.neigh.up0.proxy_delay is 80 and not 0",
    "sysctl net.ipv6.conf.up0.proxy_ndp=0": "ipv6.conf.up0.proxy_ndp is 0 and not 1",
    "sysctl net.ipv6.neigh.tap0.proxy_delay=80": "ipv6.neigh.tap0.proxy_delay is 80 and not 0",
    "ip link add br9 type bridge\nip link set tap0 master br9": "it is a port of something, and not routed",
    # The last, for it cannot be repaired by making the tap again.
    "ip route del default table 100": "tap0: table 100 has no default IPv4 route by one interface",
}


def test_damage_is_seen_and_repaired(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    for damage, sentence in DAMAGE.items():
        node.make(routed(0))
        assert node.problems(routed(0)) == {}, f"before {damage}"
        for command in damage.splitlines():
            if command.startswith("sysctl net."):
                node.room.sysctl(command.removeprefix("sysctl net."))
            else:
                node.room.run(command.split())
        assert node.problems(routed(0)) == {"tap0": sentence}, damage


REFUSED = {
    "nowhere": ("'nowhere' is not a routing table that guests can use", "link of the NIC: the number of a table"),
    "local": ("'local' is not a routing table that guests can use", "link of the NIC: the number of a table"),
    "0": ("'0' is not a routing table that guests can use", "link of the NIC: the number of a table"),
    "4294967296": ("'4294967296' is not a routing table that guests can use", "link of the NIC"),
    "$(reboot)": ("'$(reboot)' is not a routing table that guests can use", "link of the NIC"),
    "300": (
        "tap0: table 300 has no default IPv4 route by one interface",
        "ip -4 route add default via GATEWAY dev UPLINK table 300",
    ),
}


def test_a_table_that_leads_nowhere_is_refused(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    for table, (sentence, hint) in REFUSED.items():
        with pytest.raises(CloudError) as refusal:
            node.check(routed(0, table=table))
        assert (str(refusal.value), refusal.value.hint.startswith(hint)) == (sentence, True)


def test_the_main_table_needs_nothing_of_the_administrator(cloud: Cloud, node: Node) -> None:
    node.room.ip(f"route del default table {TABLE}", "route del default")
    node.room.ip(f"rule del iif {UPLINK}", f"route add {GATEWAY} dev {UPLINK}")
    node.room.ip(f"route add default via {GATEWAY} dev {UPLINK}")
    before = node.all_there_is()
    guest = cloud.guest(node, 0)
    port = routed(0, table="main")._replace(ip6=None)
    node.make(port)
    assert "unreachable default" not in node.all_there_is()
    assert reaches(guest, GATEWAY)
    assert reaches(cloud.router, GUESTS[0][0])
    node.unmake(port)
    assert node.all_there_is() == before


def test_a_node_that_does_not_forward_ipv6_is_told_of(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    node.room.sysctl("ipv6.conf.all.forwarding=0")
    with pytest.raises(CloudError, match=r"^tap0: the node does not forward IPv6$"):
        node.check(routed(0))
    node.check(routed(0)._replace(ip6=None))


@both_families
def test_an_uplink_whose_packets_do_not_get_to_guests_is_told_of(cloud: Cloud, node: Node, family: int) -> None:
    cloud.guest(node, 0)
    node.room.run(["ip", ("-4", "-6")[family], "rule", "del", "iif", UPLINK])
    port = routed(0)._replace(ip6=None) if family == 0 else routed(0)._replace(ip=None)
    with pytest.raises(CloudError) as refusal:
        node.make(port)
    address = GUESTS[0][family]
    assert str(refusal.value) == f"tap0: what comes in by up0 for {address} does not get to the tap"
    assert refusal.value.hint.startswith(f"ip -{(4, 6)[family]} rule add iif up0 lookup 100")
    assert node.problems(port) == {"tap0": "it is down"}


def test_a_gateway_that_is_not_routed_to_is_told_of(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    node.room.ip(f"route add unreachable {GATEWAY} table {TABLE}")
    with pytest.raises(CloudError, match=r"^tap0: the node does not route what 198.51.100.10 sends to 198.51.100.1$"):
        node.make(routed(0))


def test_a_tap_without_address_or_without_itself_is_refused(cloud: Cloud, node: Node) -> None:
    with pytest.raises(CloudError, match=r"^tap0: there is no such Ethernet interface$"):
        node.check(routed(0))
    cloud.guest(node, 0)
    with pytest.raises(CloudError, match=r"^tap0: a routed NIC without an address$"):
        node.check(routed(0)._replace(ip=None, ip6=None))


def test_what_is_told_to_neighbours_is_well_formed(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    with ears_on(cloud.router, LAN) as ears:
        node.make(routed(0))
        told = [frame for frame in heard(ears) if frame[12:14] == b"\x08\x06" or frame[54:55] == b"\x88"]
    announced, advertised = map(Ether, told)
    uplink = f"52:54:00:00:01:{0:02x}"
    fields = announced["ARP"]
    assert (announced.dst, announced.src, fields.op, fields.hwsrc) == ("ff:ff:ff:ff:ff:ff", uplink, 1, uplink)
    assert (fields.psrc, fields.pdst, fields.hwdst) == (GUESTS[0][0], GUESTS[0][0], "00:00:00:00:00:00")
    assert (advertised.dst, advertised.src) == ("33:33:00:00:00:01", uplink)
    again = advertised.copy()
    del again["ICMPv6 Neighbor Discovery - Neighbor Advertisement"].cksum
    assert bytes(again) == bytes(advertised), "a wrong checksum"
    message = advertised["ICMPv6 Neighbor Discovery - Neighbor Advertisement"]
    assert (message.tgt, message.R, message.S, message.O) == (GUESTS[0][1], 0, 0, 1)
    assert message["ICMPv6 Neighbor Discovery Option - Destination Link-Layer Address"].lladdr == uplink


def test_the_mtu_of_the_network_is_the_taps(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    with pytest.raises(CloudError, match=r"^tap0: an MTU of 1279 is too small for IPv6, which takes 1280$"):
        node.check(routed(0)._replace(mtu=1279))
    node.make(routed(0)._replace(mtu=1400))
    assert " mtu 1400 " in node.room.run(["ip", "link", "show", "tap0"])
