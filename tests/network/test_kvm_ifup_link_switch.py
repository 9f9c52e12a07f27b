# SPDX-License-Identifier: BSD-2-Clause
"""Taps in a real Open vSwitch, which forwards packets by itself: its database and its daemon are in a room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError, CommandError
from kvm_ifup.linking import switched
from kvm_ifup.port import SwitchPort, Vlans
from lab.rooms import Room, wait_for
from tests.network.cloud import PREFIX, Cloud, Node, bridged

SWITCH = SwitchPort("sw0")

_START = """
set -e
mkdir -p /run/openvswitch /var/lib/openvswitch
ovsdb-tool create /var/lib/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
cd /var/lib/openvswitch
ovsdb-server conf.db --remote=punix:/run/openvswitch/db.sock --pidfile --detach --log-file=/dev/null
ovs-vsctl --no-wait init
ovs-vswitchd --pidfile --detach --log-file=/dev/null
ovs-vsctl --timeout=10 add-br sw0 -- set bridge sw0 datapath_type=netdev -- add-port sw0 up0
ip link set sw0 up
"""


@pytest.fixture
def node(needed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """With a switch that has the uplink in it, and two guests."""
    if not Path("/usr/sbin/ovs-vswitchd").exists():
        pytest.skip("not installed: openvswitch-switch; make setup installs it")
    with ExitStack() as stack:
        cloud = Cloud(stack, tmp_path)
        made = cloud.node()
        made.room.run(["sh", "-c", _START])
        monkeypatch.setattr(switched, "FOLDER", str(made.room.root / "run/openvswitch"))
        guests.extend(cloud.guest(made, number) for number in range(2))
        yield made
        guests.clear()


guests: list[Room] = []


def reaches(guest: Room, address: str) -> bool:
    try:
        guest.run(["ping", "-n", "-q", "-c", "1", "-W", "1", address])
    except CommandError:
        return False
    return True


def vsctl(node: Node, *arguments: str) -> list[str]:
    """What ovs-vsctl says in the room."""
    return node.room.run(["ovs-vsctl", *arguments]).split()


def in_switch(node: Node) -> list[str]:
    return vsctl(node, "list-ports", "sw0")


def test_guests_reach_each_other_and_the_router(node: Node) -> None:
    for number in range(2):
        node.make(bridged(number, SWITCH))
    assert reaches(guests[0], f"{PREFIX}.11")
    assert reaches(guests[0], f"{PREFIX}.1")


def test_everything_can_be_done_twice_and_leaves_nothing(node: Node) -> None:
    port = bridged(0, SWITCH)
    for _ in range(2):
        node.make(port)
        assert in_switch(node) == ["tap0", "up0"]
        assert (node.problems(port), node.strays(port)) == ({}, {})
    for _ in range(2):
        node.unmake(port)
        assert in_switch(node) == ["up0"]


def test_a_tap_that_is_gone_stays_in_the_database_until_it_is_swept_away(node: Node) -> None:
    node.make(bridged(0, SWITCH))
    node.room.ip("link del tap0")
    assert in_switch(node) == ["tap0", "up0"]
    assert node.strays() == {"tap0": "a port of sw0"}
    node.sweep("tap0", "tap7")
    assert (in_switch(node), node.strays()) == (["up0"], {})


def test_ports_of_others_are_no_strays(node: Node) -> None:
    vsctl(node, "add-port", "sw0", "tap1")
    assert node.strays() == {}
    node.sweep("tap1")
    assert in_switch(node) == ["tap1", "up0"]


@pytest.mark.parametrize(
    ("vlans", "expected"),
    [
        (None, []),
        (Vlans(5), ["access", "5"]),
        (Vlans(None, (6, 7)), ["trunk", "6", "7"]),
        (Vlans(5, (6, 7)), ["native-untagged", "5", "6", "7"]),
    ],
    ids=["none", "access", "trunk", "hybrid"],
)
def test_vlans_are_those_of_the_port(node: Node, vlans: Vlans | None, expected: list[str]) -> None:
    node.make(bridged(0, SwitchPort("sw0", Vlans(9, (8,)))))
    port = bridged(0, SwitchPort("sw0", vlans))
    node.make(port)
    assert vsctl(node, "--columns=vlan_mode,tag,trunks", "--bare", "list", "Port", "tap0") == expected
    assert node.problems(port) == {}


def test_guests_of_two_vlans_do_not_reach_each_other(node: Node) -> None:
    node.make(bridged(0, SwitchPort("sw0", Vlans(5))))
    node.make(bridged(1, SwitchPort("sw0", Vlans(6))))
    assert not reaches(guests[0], f"{PREFIX}.11")
    node.make(bridged(1, SwitchPort("sw0", Vlans(5))))
    wait_for("the other guest", lambda: reaches(guests[0], f"{PREFIX}.11"))


DAMAGE = {
    "del-port tap0": "it is not in the Open vSwitch sw0",
    "set Port tap0 tag=7": "its VLANs are not as wanted",
    "del-port tap0 -- add-br sw1 -- set bridge sw1 datapath_type=netdev -- add-port sw1 tap0": (
        "it is not in the Open vSwitch sw0"
    ),
}


def test_damage_is_seen_and_repaired(node: Node) -> None:
    port = bridged(0, SwitchPort("sw0", Vlans(5)))
    for damage, sentence in DAMAGE.items():
        node.make(port)
        assert node.problems(port) == {}, f"before {damage}"
        vsctl(node, *damage.split())
        assert node.problems(port) == {"tap0": sentence}, damage


def test_a_switch_that_is_not_there_is_refused(node: Node) -> None:
    with pytest.raises(CloudError, match=r"^tap0: the Open vSwitch sw7 is not there$"):
        node.check(bridged(0, SwitchPort("sw7")))


def test_a_switch_that_does_not_answer_is_told_of(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switched, "_WAIT_S", 1)
    node.room.run(["ovs-appctl", "-t", "ovs-vswitchd", "exit"])
    with pytest.raises(CloudError, match=r"^ovs-vsctl .*: "):
        node.make(bridged(0, SWITCH))


def test_while_the_switch_does_not_run_there_is_nothing_to_see_or_to_take_away(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = bridged(0, SWITCH)
    node.make(port)
    monkeypatch.setattr(switched, "FOLDER", "/nonexistent")
    assert (node.strays(), node.problems(port)) == ({}, {"tap0": "it is not in the Open vSwitch sw0"})
    node.sweep("tap0")
    node.unmake(port)
    with pytest.raises(CloudError) as refusal:
        node.check(port)
    assert str(refusal.value) == "tap0: the NIC wants the Open vSwitch sw0, and none runs on this node"
    assert refusal.value.hint == "apt install openvswitch-switch and start it, or correct the mode of the NIC"
