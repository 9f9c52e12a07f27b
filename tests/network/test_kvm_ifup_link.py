# SPDX-License-Identifier: BSD-2-Clause
"""Taps in bridges, with real packets; and names that would be something else to a shell, a path or a program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError, CommandError
from kvm_ifup.port import BridgePort, SwitchPort, Vlans
from lab.rooms import cable
from tests.network.clients import LINK
from tests.network.cloud import PREFIX, Cloud, Node, bridged, mac_of, routed

TREE = Path(__file__).resolve().parents[2]
BRIDGE = BridgePort("br0")


@pytest.fixture
def cloud(needed: None, tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        yield Cloud(stack, tmp_path)


@pytest.fixture
def node(cloud: Cloud) -> Node:
    """With a bridge that has the uplink in it."""
    made = cloud.node()
    made.room.ip("link add br0 type bridge forward_delay 0 mcast_snooping 0", "link set up0 master br0")
    made.room.ip("link set br0 up")
    return made


def shown(node: Node, link: str) -> str:
    return node.room.run(["ip", "-d", "link", "show", link])


def test_guests_of_a_bridge_reach_each_other_and_the_router(cloud: Cloud, node: Node) -> None:
    guests = [cloud.guest(node, number) for number in range(2)]
    mac = node.room.run(["cat", "/sys/class/net/br0/address"])
    for number in range(2):
        node.make(bridged(number, BRIDGE))
    for target in (f"{PREFIX}.11", f"{PREFIX}.1"):
        guests[0].run(["ping", "-n", "-q", "-c", "1", "-W", "2", target])
    assert node.room.run(["cat", "/sys/class/net/br0/address"]) == mac
    assert "link/ether fe:54:00:00:00:00 " in shown(node, "tap0")
    assert "inet6" not in node.room.run(["ip", "address", "show", "tap0"])


def test_a_bridge_of_its_own_does_not_take_the_guests_mac(cloud: Cloud, node: Node) -> None:
    node.room.ip("link add br1 type bridge", "link set br1 up")
    cloud.guest(node, 0)
    node.make(bridged(0, BridgePort("br1"))._replace(mac=bytes.fromhex("fe5400000000")))
    assert "link/ether fa:54:00:00:00:00 " in shown(node, "tap0")


def test_everything_can_be_done_twice_and_moves_a_tap_to_another_flavour(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    before = node.all_there_is()
    port = bridged(0, BRIDGE)
    for _ in range(2):
        node.make(port)
        assert node.problems(port) == {}
    for _ in range(2):
        node.unmake(port)
        assert "master" not in shown(node, "tap0")
    node.make(port)
    node.room.ip("link set up0 nomaster")
    node.make(routed(0))  # without a word of the bridge that it was in
    assert node.problems(routed(0)) == {}
    node.unmake(routed(0))
    node.make(port)
    assert (node.problems(port), node.strays(port)) == ({}, {})
    assert node.all_there_is() == before


def test_what_a_routed_tap_of_the_same_name_has_left_goes(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    before = node.all_there_is()
    port = bridged(0, BRIDGE)
    node.room.ip("link set up0 nomaster")
    node.make(routed(0))
    node.make(port)  # without a word of what it was before
    assert (node.all_there_is(), node.problems(port), node.strays(port)) == (before, {}, {})


def test_a_tap_that_has_a_port_is_no_stray(cloud: Cloud, node: Node) -> None:
    """A stray is set down; a guest that runs must not be, for a rule that does not matter."""
    cloud.guest(node, 0)
    node.make(bridged(0, BRIDGE))
    node.room.ip("rule add iif tap0 lookup 100 protocol 103")
    assert node.strays(bridged(0, BRIDGE)) == {}
    assert set(node.strays()) == {"tap0"}


def test_a_tap_that_is_in_another_bridge_by_now_is_left_there(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    node.make(bridged(0, BRIDGE))
    node.room.ip("link add br1 type bridge", "link set tap0 master br1")
    node.unmake(bridged(0, BRIDGE))
    assert "master br1" in shown(node, "tap0")
    node.room.ip("link del tap0")
    node.unmake(bridged(0, BRIDGE))


def test_a_port_has_the_mtu_of_its_bridge_and_does_not_change_it(cloud: Cloud, node: Node) -> None:
    node.room.ip("link set up0 mtu 9000")
    assert "mtu 9000" in shown(node, "br0")
    cloud.guest(node, 0)
    node.make(bridged(0, BRIDGE)._replace(mtu=1400))
    assert "mtu 9000" in shown(node, "tap0")
    assert "mtu 9000" in shown(node, "br0")


def test_frames_that_the_bridge_does_not_pass_on_are_refused(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    with pytest.raises(CloudError, match=r"^tap0: an MTU of 9000 is more than the 1500 of br0$"):
        node.check(bridged(0, BRIDGE)._replace(mtu=9000))


DAMAGE = {
    "link set tap0 nomaster": "it is not in the bridge br0",
    "link add br1 type bridge\nlink set tap0 master br1": "it is not in the bridge br0 but in br1",
    "link set tap0 address 02:00:00:00:00:01": "its own MAC is 02:00:00:00:00:01",
    "link set br0 mtu 1400": "its MTU is 1500, the bridge's is 1400",
    "link set tap0 down": "it is down",
    "link del tap0": "the tap is not there",
}


def test_damage_is_seen(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    for damage, sentence in DAMAGE.items():
        node.make(bridged(0, BRIDGE))
        assert node.problems(bridged(0, BRIDGE)) == {}, f"before {damage}"
        node.room.ip(*damage.splitlines())
        assert node.problems(bridged(0, BRIDGE)) == {"tap0": sentence}, damage


REFUSED: dict[str, tuple[BridgePort | SwitchPort, str, str]] = {
    "a bridge that is not there": (BridgePort("br7"), "tap0: the bridge br7 is not there", "make br7"),
    "not a bridge": (BridgePort("up0"), "tap0: up0 is not a bridge but another kind of interface", "correct the link"),
    "VLANs without a filter": (
        BridgePort("br0", Vlans(5)),
        "tap0: the bridge br0 does not filter VLANs, and the NIC asks for some",
        "ip link set br0 type bridge vlan_filtering 1",
    ),
    "all": (BridgePort("all"), "'all' is not the name of an interface that guests can use", ""),
    "a path": (BridgePort("../x"), "'../x' is not the name of an interface that guests can use", ""),
    "an option": (SwitchPort("--all"), "'--all' is not the name of an interface that guests can use", ""),
}


def test_what_a_tap_cannot_be_connected_to_is_refused(cloud: Cloud, node: Node) -> None:
    cloud.guest(node, 0)
    for case, (connection, sentence, hint) in REFUSED.items():
        with pytest.raises(CloudError) as refusal:
            node.check(bridged(0, connection))
        assert (str(refusal.value), refusal.value.hint.startswith(hint)) == (sentence, True), case


def test_names_are_nothing_to_a_shell(cloud: Cloud, node: Node) -> None:
    tap, bridge = "t;$(id)`x`&'\"", "b|>a#*"
    guest = cloud.another("guest")
    cable(node.room, tap, guest, LINK, mac_of(0).hex(":"))
    node.room.run(["ip", "link", "add", bridge, "type", "bridge"])
    port = bridged(0, BridgePort(bridge))._replace(tap=tap)
    node.make(port)
    assert node.problems(port) == {}
    node.unmake(port)
    way = routed(0)._replace(tap=tap)
    node.room.ip("link set up0 nomaster")
    node.make(way)
    assert node.problems(way) == {}
    node.room.run(["ip", "link", "del", tap])
    assert set(node.strays()) == {tap}
    node.sweep(tap)
    assert node.strays() == {}


def test_who_is_not_root_is_told_so(cloud: Cloud, node: Node) -> None:
    """The kernel's own words, and no traceback."""
    cloud.guest(node, 0)
    source = (
        "from kvm_ifup.linking.part import LinkPart; from ganeti_cloud.errors import CloudError, report\n"
        "import os, sys; os.setuid(65534)\n"
        "try: LinkPart(1000).down('tap0')\n"
        "except CloudError as err: sys.exit(report(err))\n"
    )
    with pytest.raises(CommandError, match="CAP_NET_ADMIN"):
        node.room.run(["env", f"PYTHONPATH={TREE}:{TREE}/kvm-ifup", "python3", "-c", source])
