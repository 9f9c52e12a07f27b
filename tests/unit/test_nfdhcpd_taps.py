# SPDX-License-Identifier: BSD-2-Clause
"""Which taps are served: bindings and interfaces that come and go in any order."""

from __future__ import annotations

import itertools
import os
import random
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud.binding import Binding, BindingError, encode
from ganeti_cloud.files import replace_file
from nfdhcpd.guests.folder import Folder
from nfdhcpd.guests.links import Links
from nfdhcpd.guests.rtnetlink import Link
from nfdhcpd.guests.taps import Change, Prepare, Prepared, State, Tap, Taps
from nfdhcpd.packets.outcome import Outcome
from tests.unit.netspace import own_network

ACK = Outcome("dhcp4", "ack", answered=True)

MAC = bytes.fromhex("525400123456")
ROUTER = bytes.fromhex("020000000001")
OTHER_ROUTER = bytes.fromhex("020000000002")


def bound(tap: str = "tap0", **fields: Any) -> Binding:
    return Binding(tap=tap, mac=MAC, hostname="web1", indev="br0")._replace(**fields)


def plain(made: object) -> object:
    """What was *made*, whatever the protocols would have made in its place."""
    return made


class Node:
    """Files and interfaces, as a test wants them, and what is prepared for them."""

    def __init__(self) -> None:
        self.bindings: dict[str, Binding] = {}
        self.links: dict[str, Link] = {}
        self.prepared: list[tuple[str, bytes]] = []
        self.refused: dict[str, str] = {}
        self.taps = Taps(self.bindings, self.links, self.prepare)

    def anew(self, prepare: Prepare) -> list[Change]:
        """What is told when all taps are prepared by other settings."""
        self.taps.prepare_by(prepare)
        return self.taps.refresh(self.bindings)

    def prepare(self, binding: Binding, router_mac: bytes) -> Prepared:
        if (reason := self.refused.get(binding.hostname)) is not None:
            raise BindingError(reason)
        self.prepared.append((binding.tap, router_mac))
        made: Any = f"{binding.hostname} by {router_mac.hex()}"
        return Prepared(dhcp4=made, router=None, dhcp6=None)

    def bind(self, tap: str = "tap0", **fields: Any) -> list[Change]:
        self.bindings[tap] = bound(tap, **fields)
        return self.taps.refresh([tap])

    def unbind(self, tap: str = "tap0") -> list[Change]:
        del self.bindings[tap]
        return self.taps.refresh([tap])

    def link(self, name: str, number: int, mac: bytes = ROUTER) -> list[Change]:
        self.links[name] = Link(number, mac)
        return self.taps.refresh([name])

    def unlink(self, name: str) -> list[Change]:
        del self.links[name]
        return self.taps.refresh([name])

    def served(self) -> dict[int, str]:
        return {index: tap.name for index, tap in self.taps.by_index.items()}


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def serving(node: Node) -> Node:
    """A node that serves tap0, which is number 7."""
    node.link("br0", 2)
    node.link("tap0", 7)
    assert node.bind() == [Change("tap0", State.SERVED, bound())]
    return node


def tap0(node: Node) -> Tap:
    return node.taps.by_index[7]


def test_a_tap_has_what_packets_need(serving: Node) -> None:
    tap = tap0(serving)
    assert (tap.name, tap.index, tap.mac, tap.router_mac) == ("tap0", 7, MAC, ROUTER)
    assert tap.binding == bound()
    assert (plain(tap.dhcp4), tap.router, tap.dhcp6) == ("web1 by 020000000001", None, None)
    assert tap.seen == {}
    assert tap.allowance == float("inf")
    assert serving.taps.by_name == {"tap0": tap}


@pytest.mark.parametrize("order", list(itertools.permutations(["binding", "tap", "bridge"])))
def test_a_tap_is_served_when_everything_is_there_in_whatever_order_it_came(node: Node, order: tuple[str, ...]) -> None:
    steps: dict[str, Callable[[], list[Change]]] = {
        "binding": node.bind,
        "tap": lambda: node.link("tap0", 7),
        "bridge": lambda: node.link("br0", 2),
    }
    *first, last = order
    for step in first:
        assert State.SERVED not in [change.state for change in steps[step]()]
        assert node.served() == {}
    assert steps[last]() == [Change("tap0", State.SERVED, bound())]
    assert node.served() == {7: "tap0"}
    assert node.prepared == [("tap0", ROUTER)]


def test_what_is_missing_is_told_once(node: Node) -> None:
    waiting = Change("tap0", State.WAITING, bound(), "there is no interface tap0")
    assert node.bind() == [waiting]
    assert node.taps.refresh(["tap0"]) == []
    assert node.link("br0", 2) == []
    node.unlink("br0")
    assert node.link("tap0", 7) == [waiting._replace(reason="there is no interface br0")]
    assert node.link("br0", 2, b"") == [waiting._replace(reason="interface br0 has no Ethernet address")]
    assert node.link("br0", 2) == [Change("tap0", State.SERVED, bound())]


def test_a_routed_tap_is_its_own_indev(node: Node) -> None:
    node.bind(indev="tap0")
    assert node.link("tap0", 7) == [Change("tap0", State.SERVED, bound(indev="tap0"))]
    assert tap0(node).router_mac == ROUTER


def test_nothing_is_done_twice(serving: Node) -> None:
    assert serving.taps.refresh(["tap0", "br0", "tap0"]) == []
    assert serving.prepared == [("tap0", ROUTER)]


def test_names_of_nothing_known_are_passed_over(serving: Node) -> None:
    assert serving.taps.refresh(["eth0", "tap9", ""]) == []


def test_another_binding(serving: Node) -> None:
    tap = tap0(serving)
    assert serving.bind(hostname="web2") == [Change("tap0", State.CHANGED, bound(hostname="web2"))]
    assert tap0(serving) is tap
    assert (tap.binding, plain(tap.dhcp4)) == (bound(hostname="web2"), "web2 by 020000000001")


def test_a_binding_that_goes(serving: Node) -> None:
    assert serving.unbind() == [Change("tap0", State.FORGOTTEN, None)]
    assert (serving.served(), serving.taps.by_name) == ({}, {})
    assert serving.taps.refresh(["tap0", "br0"]) == []
    assert serving.taps._users == {}


def test_a_binding_that_goes_before_it_was_served(node: Node) -> None:
    node.bind()
    assert node.unbind() == [Change("tap0", State.FORGOTTEN, None)]
    assert node.link("tap0", 7) + node.link("br0", 2) == []


def test_an_interface_that_goes_and_comes_again_with_another_number(serving: Node) -> None:
    tap = tap0(serving)
    assert serving.unlink("tap0") == [Change("tap0", State.WAITING, bound(), "there is no interface tap0")]
    assert serving.served() == {}
    assert serving.taps.by_name == {"tap0": tap}
    assert tap.index == 0
    assert serving.link("tap0", 9) == [Change("tap0", State.SERVED, bound())]
    assert serving.served() == {9: "tap0"}


def test_a_number_that_changes_at_once(serving: Node) -> None:
    assert serving.link("tap0", 9) == [Change("tap0", State.SERVED, bound())]
    assert serving.served() == {9: "tap0"}


@pytest.mark.parametrize("order", [["tap0", "tap1"], ["tap1", "tap0"]])
def test_a_number_that_is_another_taps_now(serving: Node, order: list[str]) -> None:
    serving.bind("tap1")
    del serving.links["tap0"]
    serving.links["tap1"] = Link(7, ROUTER)
    serving.taps.refresh(order)
    assert serving.served() == {7: "tap1"}
    assert serving.taps.by_name["tap0"].index == 0


@pytest.mark.parametrize("order", [["tap0", "tap1"], ["tap1", "tap0"]])
def test_taps_that_change_their_names(serving: Node, order: list[str]) -> None:
    serving.link("tap1", 8)
    serving.bind("tap1")
    serving.links["tap0"], serving.links["tap1"] = serving.links["tap1"], serving.links["tap0"]
    serving.taps.refresh(order)
    assert serving.served() == {7: "tap1", 8: "tap0"}
    assert all(tap.index == index for index, tap in serving.taps.by_index.items())


def test_a_new_mac_of_the_bridge_is_told_to_all_its_taps(serving: Node) -> None:
    serving.link("tap1", 8)
    serving.link("tap2", 9)
    serving.bind("tap1")
    serving.bind("tap2", indev="tap2")
    serving.prepared.clear()
    changed = serving.link("br0", 2, OTHER_ROUTER)
    assert sorted(change.tap for change in changed) == ["tap0", "tap1"]
    assert {change.state for change in changed} == {State.CHANGED}
    assert sorted(serving.prepared) == [("tap0", OTHER_ROUTER), ("tap1", OTHER_ROUTER)]
    assert plain(tap0(serving).dhcp4) == "web1 by 020000000002"


def test_a_tap_that_moves_to_another_bridge(serving: Node) -> None:
    serving.link("br1", 3, OTHER_ROUTER)
    serving.bind(indev="br1")
    assert tap0(serving).router_mac == OTHER_ROUTER
    assert serving.taps._users == {"br1": {"tap0"}}
    assert serving.unlink("br0") == []
    assert serving.unlink("br1") == [Change("tap0", State.WAITING, bound(indev="br1"), "there is no interface br1")]
    assert serving.served() == {}


def test_a_binding_that_cannot_be_told_keeps_the_old_one_served(
    serving: Node, caplog: pytest.LogCaptureFixture
) -> None:
    serving.refused["web2"] = "binding tap0: options of 5000 bytes do not fit"
    broken = Change("tap0", State.BROKEN, bound(hostname="web2"), "binding tap0: options of 5000 bytes do not fit")
    assert serving.bind(hostname="web2") == [broken]
    assert serving.taps.refresh(["tap0"]) == []
    assert serving.link("br0", 2, OTHER_ROUTER) == []
    assert plain(tap0(serving).dhcp4) == "web1 by 020000000001"
    assert serving.bind(hostname="web3") == [Change("tap0", State.CHANGED, bound(hostname="web3"))]
    assert serving.bind(hostname="web2") == [broken]
    assert serving.bind() == [Change("tap0", State.CHANGED, bound())]
    assert caplog.messages == []


def test_the_old_binding_is_not_served_on_another_interface(serving: Node) -> None:
    """The number may be that of an interface of somebody else by now."""
    serving.refused["web2"] = "no"
    serving.bind(hostname="web2")
    assert serving.link("tap0", 9) == []
    assert serving.served() == {}


def test_a_new_binding_that_cannot_be_told_is_not_served(node: Node) -> None:
    node.link("br0", 2)
    node.link("tap0", 7)
    node.refused["web1"] = "no"
    assert node.bind() == [Change("tap0", State.BROKEN, bound(), "no")]
    assert node.served() == {}
    assert node.unbind() == [Change("tap0", State.FORGOTTEN, None)]


def test_a_fault_of_the_program_hurts_no_other_tap(serving: Node, caplog: pytest.LogCaptureFixture) -> None:
    def prepare(binding: Binding, router_mac: bytes) -> Prepared:
        if binding.tap == "tap0":
            raise ZeroDivisionError
        return serving.prepare(binding, router_mac)

    serving.link("tap1", 8)
    serving.bind("tap1")
    broken = Change("tap0", State.BROKEN, bound(), "ZeroDivisionError()")
    assert serving.anew(prepare) == [broken]
    assert serving.served() == {7: "tap0", 8: "tap1"}
    assert caplog.messages == ["tap0: its answers cannot be prepared, which is a fault of this program"]
    assert serving.anew(prepare) == []
    assert len(caplog.messages) == 1


def test_what_went_wrong_is_told_again_when_it_was_right_between(serving: Node) -> None:
    serving.refused["web2"] = "no"
    first = serving.bind(hostname="web2")
    assert serving.bind() == []
    assert serving.bind(hostname="web2") == first


@pytest.mark.parametrize(
    "fields",
    [
        {"mac": MAC[:5] + b"\x99"},
        {"ip": IPv4Address("192.0.2.2")},
        {"ip6": IPv6Address("2001:db8::2")},
        {"subnet6": IPv6Network("2001:db8:1::/64")},
    ],
)
def test_another_guest_begins_anew(serving: Node, fields: dict[str, Any]) -> None:
    tap = tap0(serving)
    tap.seen[ACK] = 1.0
    serving.bind(**fields)
    assert tap.seen == {}
    assert tap.mac == fields.get("mac", MAC)


def test_what_was_seen_of_a_guest_is_kept(serving: Node) -> None:
    tap = tap0(serving)
    tap.seen[ACK] = 1.0
    tap.allowance = 3.0
    serving.bind(hostname="web2", mtu=1400)
    serving.unlink("tap0")
    serving.link("br0", 2, OTHER_ROUTER)
    serving.link("tap0", 8)
    serving.anew(serving.prepare)
    assert serving.taps.by_index[8] is tap
    assert (tap.seen, tap.allowance) == ({ACK: 1.0}, 3.0)


def test_new_settings_are_told_to_all(serving: Node) -> None:
    def prepare(binding: Binding, router_mac: bytes) -> Prepared:
        made: Any = f"anew for {binding.tap}"
        return Prepared(dhcp4=None, router=made, dhcp6=None)

    serving.link("tap1", 8)
    serving.bind("tap1")
    serving.taps.prepare_by(prepare)
    assert plain(tap0(serving).router) != "anew for tap0"
    assert serving.taps.refresh(["tap0"]) == []
    assert [plain(serving.taps.by_name[name].router) == f"anew for {name}" for name in ("tap0", "tap1")] == [
        True,
        False,
    ]
    assert serving.taps.refresh(["tap0", "tap1"]) == []
    prepared = {tap.name: (tap.dhcp4, tap.router) for tap in serving.taps.by_index.values()}
    assert plain(prepared) == {name: (None, f"anew for {name}") for name in ("tap0", "tap1")}
    serving.link("tap2", 9)
    serving.bind("tap2")
    assert plain(serving.taps.by_name["tap2"].router) == "anew for tap2"


def test_settings_with_which_a_binding_cannot_be_told(serving: Node) -> None:
    serving.refused["web1"] = "no"
    assert serving.anew(serving.prepare) == [Change("tap0", State.BROKEN, bound(), "no")]
    assert plain(tap0(serving).dhcp4) == "web1 by 020000000001"
    assert serving.anew(serving.prepare) == []


def test_any_order_of_events_ends_in_the_same(serving: Node) -> None:
    """Whatever came between, what is served is what files and interfaces say at the end."""
    dice = random.Random(4862)
    names = ["tap0", "tap1", "tap2", "br0", "br1"]
    for _ in range(2000):
        name = dice.choice(names)
        what = dice.choice(["link", "unlink", "bind", "unbind", "swap"])
        if what == "link":
            taken = {link.number for other, link in serving.links.items() if other != name}
            number = dice.choice(sorted(set(range(1, 9)) - taken))
            serving.link(name, number, dice.choice((ROUTER, OTHER_ROUTER)))
        elif what == "unlink" and name in serving.links:
            serving.unlink(name)
        elif what == "bind" and name.startswith("tap"):
            serving.bind(name, indev=dice.choice(("br0", "br1", name)), hostname=dice.choice(("web1", "web2")))
        elif what == "unbind" and name in serving.bindings:
            serving.unbind(name)
        wanted = {
            serving.links[tap].number: (tap, binding, serving.links[binding.indev].mac)
            for tap, binding in serving.bindings.items()
            if tap in serving.links and binding.indev in serving.links
        }
        served = {index: (tap.name, tap.binding, tap.router_mac) for index, tap in serving.taps.by_index.items()}
        assert served == wanted
        assert all(tap.index == index for index, tap in serving.taps.by_index.items())
        assert set(serving.taps.by_name) <= set(serving.bindings)


@pytest.fixture
def memory_folder() -> Iterator[Path]:
    """A folder in memory: what is measured should not be the disk, nor who else uses it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as path:
        yield Path(path)


def test_two_thousand_bindings_are_loaded_in_no_time(memory_folder: Path) -> None:
    """Files read, decoded and joined; measured in time of the processor, against that of as many bare reads."""
    path = memory_folder
    links = {"br0": Link(2, ROUTER)}
    for number in range(2000):
        links[f"tap{number}"] = Link(number + 10, MAC)
        binding = bound(f"tap{number}", ip=IPv4Address(0x0A000001 + number), subnet6=IPv6Network("2001:db8::/64"))
        (path / f"tap{number}").write_text(encode(binding), encoding="utf-8")
    started = time.process_time()
    for name in os.listdir(path):
        (path / name).read_bytes()
    bare = time.process_time() - started

    node = Node()
    started = time.process_time()
    folder = Folder(str(path))
    taps = Taps(folder.bindings, links, node.prepare)
    changes = []
    while folder.is_busy or select.select([folder], [], [], 0)[0]:
        changes += taps.refresh(folder.news().changed)
    spent = time.process_time() - started
    folder.close()
    assert len(changes) == len(taps.by_index) == 2000
    sys.stdout.write(f"2,000 bindings: {spent:.3f} s of CPU, {spent / bare:.1f} times their bare reading\n")
    assert spent < 40 * bare


def ip(*commands: str) -> None:
    text = "".join(f"{command}\n" for command in commands)
    subprocess.run(["ip", "-batch", "-"], input=text, text=True, timeout=20, check=True)


@pytest.mark.host_tools
def test_real_files_and_real_interfaces(tmp_path: Path) -> None:
    """A guest on a bridge, from its file to its end, as a loop sees it."""
    path = tmp_path / "bindings"
    path.mkdir()
    with own_network():
        folder, links = Folder(str(path)), Links()
        taps = Taps(folder.bindings, links.links, Node().prepare)

        def told() -> list[tuple[str, str]]:
            changes = []
            while folder.is_busy or select.select([folder.fileno(), links.fileno()], [], [], 0)[0]:
                changes += taps.refresh(folder.news().changed)
                changes += taps.refresh(links.changes())
            return [(change.tap, change.state) for change in changes]

        replace_file(path / "tap0", encode(bound()))
        assert told() == [("tap0", State.WAITING)]
        ip("link add br0 address 02:00:00:00:00:01 type bridge", "tuntap add tap0 mode tap", "link set tap0 master br0")
        assert told()[-1] == ("tap0", State.SERVED)
        (served,) = taps.by_index.values()
        assert (served.index, served.router_mac) == (socket.if_nametoindex("tap0"), ROUTER)
        ip("link set br0 address 02:00:00:00:00:02")
        assert told() == [("tap0", State.CHANGED)]
        assert served.router_mac == OTHER_ROUTER
        ip("link set tap0 nomaster", "link set tap0 master br0", "link set tap0 up")
        assert told() == []
        ip("link del tap0", "tuntap add tap0 mode tap", "link set tap0 master br0")
        assert told()[-1] == ("tap0", State.SERVED)
        assert taps.by_index == {socket.if_nametoindex("tap0"): served}
        (path / "tap0").unlink()
        assert told() == [("tap0", State.FORGOTTEN)]
        folder.close()
        links.close()
