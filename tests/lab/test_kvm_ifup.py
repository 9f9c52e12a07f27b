# SPDX-License-Identifier: BSD-2-Clause
"""Real instances on a real Ganeti: their taps are filtered, they are told their addresses, and move with them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Network
from typing import Any

import pytest

from lab.golden import golden
from lab.lab import Lab
from lab.network import BRIDGE
from lab.node import Node
from lab.timeline import Timeline
from tests.lab.support import Result, call, imported
from tests.lab.uplinks import uplinks
from tests.unit import network_examples

pytestmark = pytest.mark.lab

JOB_S = 300.0
BOOT_S = 180.0
# Neighbours have learnt where it is, or else they ask only when their entries are stale.
CONVERGED_S = 5.0
# The outside: a node that has no instance here.
OUTSIDE = 3
UPLINK, TABLE = "eth1.100", "100"


@dataclass(frozen=True)
class Net:
    """A network of Ganeti's, and how the nodes take part in it: by an *example* of docs/networks.md, with *uplink*.

    The addresses are for documentation: RFC 5737 and RFC 3849.
    """

    name: str
    mode: str
    link: str
    tags: str
    gateway: str
    gateway6: str
    example: str
    uplink: str

    @property
    def prefix(self) -> str:
        return self.gateway.rpartition(".")[0]

    @property
    def network6(self) -> str:
        return f"{self.gateway6[:-1]}/64"


BRIDGED = Net(
    "bridged",
    "bridged",
    "prv0",
    "nfdhcpd",
    "203.0.113.1",
    "2001:db8:61::1",
    "A bridge on a VLAN: isolated networks, or one network",
    "eth1.200",
)
ROUTED = Net("routed", "routed", TABLE, "nfdhcpd,ip-less-routed", "198.51.100.1", "2001:db8:5::1", "Routed", UPLINK)


@dataclass(frozen=True)
class Guest:
    """An instance with a NIC in a network."""

    lab: Lab
    net: Net
    name: str

    def gnt(self, command: str, *arguments: str) -> str:
        return self.lab.master.run(["gnt-instance", command, *arguments, self.name], timeout_s=JOB_S)

    def asked(self, field: str) -> str:
        return self.gnt("list", "--no-headers", "-o", field).strip()

    @property
    def node(self) -> Node:
        return self.lab.node(self.asked("pnode").partition(".")[0])

    @property
    def others(self) -> list[Node]:
        return [node for node in self.lab.ganeti_nodes if node.name != self.node.name]

    @property
    def addresses(self) -> list[str]:
        """Of IPv4 what Ganeti gave it, of IPv6 what its MAC makes of the network (RFC 4291, appendix A)."""
        raw = bytes.fromhex(self.asked("nic.mac/0").replace(":", ""))
        identifier = bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]
        return [self.asked("nic.ip/0"), str(IPv6Network(self.net.network6)[int.from_bytes(identifier)])]

    @property
    def row(self) -> dict[str, Any]:
        """What is shown of its tap on its node."""
        [row] = json.loads(self.node.run(["kvm-ifup", "show", self.name, "--json"], timeout_s=60))
        assert isinstance(row, dict)
        return row


def reached(guest: Guest, addresses: list[str], timeout_s: float = BOOT_S) -> bool:
    """Whether all *addresses* of the guest answer to the outside in time."""
    outside = guest.lab.node(OUTSIDE)
    return waited(lambda: all(answers(outside, each) for each in addresses), timeout_s)


def answers(node: Node, address: str) -> bool:
    """Whether a ping comes back."""
    return call(node, ["ping", "-n", "-q", "-c", "1", "-W", "1", address], timeout_s=30).status == 0


def waited(look: Callable[[], bool], timeout_s: float) -> bool:
    """Whether *look* was true in time."""
    end = time.monotonic() + timeout_s
    while not (found := look()) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def refuses(node: Node, address: str) -> bool:
    """Whether a connection is refused by the guest, where nobody listens, and not lost on the way to it."""
    said = call(node, ["python3", "-c", _CONNECT, address], timeout_s=30)
    return "ConnectionRefusedError" in said.stderr


_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 9), timeout=1.5)"


def left(node: Node) -> list[str]:
    """What there is of taps on *node*, from which none has a guest."""
    node.run(["kvm-ifup", "reconcile"], timeout_s=60)
    script = (
        "ls /run/kvm-ifup /var/lib/nfdhcpd | grep -v -e : -e '^lock$' -e '^$';"
        " nft list table netdev ganeti-cloud | grep -o 'chain .*tap[0-9]*';"
        " ip rule; ip -6 rule; ip neigh show proxy; ip -6 neigh show proxy; ip route show table all; true"
    )
    found = call(node, ["sh", "-c", script], timeout_s=60).stdout.splitlines()
    return [
        line for line in found if "tap" in line or line.startswith(("203.0.113.", "2001:db8:62:")) and "/" not in line
    ]


@pytest.fixture(scope="module")
def boot(lab: Lab) -> Iterator[None]:
    with imported(lab, "filtered", golden(lab.spec.release, Timeline()).path):
        yield


@pytest.fixture(scope="module", params=[BRIDGED, ROUTED], ids=lambda net: net.name)
def net(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Net]:
    """A network that is connected; its router is the outside."""
    net: Net = request.param
    outside = lab.node(OUTSIDE)
    nodes = lab.ganeti_nodes[: OUTSIDE - 1]
    for address in (f"{net.gateway}/24", f"{net.gateway6}/64"):
        outside.run(["ip", "address", "replace", address, "dev", BRIDGE], timeout_s=30)
    if net.mode == "bridged":  # Ganeti wants the bridge on every node of the group
        nodes = lab.ganeti_nodes
    with uplinks(nodes, net.example, net.uplink), routing(nodes, net):
        add = ["gnt-network", "add", f"--network={net.prefix}.0/24", f"--gateway={net.gateway}"]
        add += [f"--network6={net.network6}", f"--gateway6={net.gateway6}", f"--tags={net.tags}", net.name]
        lab.master.run(add, timeout_s=JOB_S)
        connect = ["gnt-network", "connect", f"--nic-parameters=mode={net.mode},link={net.link}", net.name]
        lab.master.run(connect, timeout_s=JOB_S)
        yield net
        for command in ("disconnect", "remove"):
            lab.master.run(["gnt-network", command, net.name], timeout_s=JOB_S)
    for address in (f"{net.gateway}/24", f"{net.gateway6}/64"):
        outside.run(["ip", "address", "del", address, "dev", BRIDGE], timeout_s=30)


@contextmanager
def routing(nodes: Sequence[Node], net: Net) -> Iterator[None]:
    """What the example of a routed network has beside its uplink."""
    if net.mode == "routed":
        [sysctls] = [text for path, text in network_examples.files(net.example).items() if "/sysctl.d/" in path]
        for node in nodes:
            # The name has a dot, which sysctl(8) takes for the end of it unless it is written as in the example.
            known = [line for line in sysctls.splitlines() if ".eth0." not in line]
            node.run(["sysctl", "-qp", "-"], timeout_s=30, stdin="\n".join(known) + "\n")
    yield
    if net.mode == "routed":
        for node in nodes:
            rules = f"for f in -4 -6; do ip $f rule del iif {UPLINK} lookup {TABLE}; done"
            off = "sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"
            node.run(["sh", "-ec", f"{rules}; {off}"], timeout_s=30)


@pytest.fixture
def guest(lab: Lab, net: Net, boot: None) -> Iterator[Guest]:
    """A guest on node 1."""
    guest = Guest(lab, net, "inst5.lab.test")
    disk = "0:size=64M,provider=archipelago,origin=filtered"
    argv = ["gnt-instance", "add", "-t", "ext", "--disk", disk, "-o", "noop", "-n", lab.node(1).hostname]
    argv += ["--net", f"0:network={net.name},ip=pool", "--tags=synnefo:network:0:protected", guest.name]
    lab.master.run(argv, timeout_s=JOB_S)
    yield guest
    # One that has just begun to boot hears no power button, and noded looks for the effect every five seconds.
    guest.gnt("remove", "-f", "--shutdown-timeout=0")
    assert {node.name: left(node) for node in lab.ganeti_nodes} == {node.name: [] for node in lab.ganeti_nodes}


def test_a_guest_is_told_its_addresses_and_is_filtered_wherever_it_goes(guest: Guest) -> None:
    """One guest for all of it: each start takes its time without hardware virtualisation."""
    outside = guest.lab.node(OUTSIDE)
    addresses = guest.addresses
    assert reached(guest, addresses)
    assert (guest.row["up"], guest.row["port"]["profile"], guest.row["problems"]) == (True, "protected", [])
    assert [refuses(outside, address) for address in addresses] == [False, False]

    # A profile of the guest that runs, by its new tags.
    changed = call(guest.node, ["kvm-ifup", "refresh", guest.name, "--tags", "synnefo:network:0:unprotected"])
    assert (changed.status, changed.stdout) == (0, f"{guest.row['tap']}: profile protected -> unprotected\n"), changed
    assert [refuses(outside, address) for address in addresses] == [True, True]

    # It moves, and is found where it is now; where it was there is nothing of it.
    before = guest.node
    guest.gnt("migrate", "-f", "-n", guest.lab.node(2).hostname)
    assert reached(guest, addresses, CONVERGED_S)
    assert guest.node.name != before.name
    assert (guest.row["up"], guest.row["problems"], left(before)) == (True, [], [])
    # The target was told the instance's tags, not what had been said by hand.
    assert (guest.row["port"]["profile"], refuses(outside, addresses[0])) == ("protected", False)

    # Flushed by somebody, the rules are back before a minute is over.
    guest.node.run(["nft", "flush", "ruleset"], timeout_s=30)
    assert waited(lambda: guest.row["problems"] == [], 90)
    assert reached(guest, addresses, CONVERGED_S)

    # It ends, and Ganeti tells nobody.
    guest.gnt("shutdown", "--timeout=30")
    assert left(guest.node) == []


def test_on_the_master_ganeti_is_asked_for_the_tags(guest: Guest) -> None:
    assert guest.node.name == guest.lab.master.name
    guest.lab.master.run(["gnt-instance", "remove-tags", guest.name, "synnefo:network:0:protected"], timeout_s=JOB_S)
    guest.lab.master.run(["gnt-instance", "add-tags", guest.name, "synnefo:network:0:limited"], timeout_s=JOB_S)
    changed = call(guest.node, ["kvm-ifup", "refresh", guest.name])
    assert (changed.status, changed.stdout) == (0, f"{guest.row['tap']}: profile protected -> limited\n"), changed


def test_a_start_that_cannot_be_made_safe_fails_with_our_line(guest: Guest) -> None:
    guest.gnt("shutdown", "--timeout=0")
    guest.lab.master.run(["gnt-instance", "add-tags", guest.name, "synnefo:network:0:limited"], timeout_s=JOB_S)
    started = start(guest)
    assert (started.status != 0, "error: " in shown(started), "limited" in shown(started)) == (True, True, True), (
        started
    )
    assert left(guest.lab.node(1)) == []
    guest.lab.master.run(["gnt-instance", "remove-tags", guest.name, "synnefo:network:0:limited"], timeout_s=JOB_S)
    assert start(guest).status == 0
    assert guest.row["problems"] == []


# For bridges Ganeti itself looks.
@pytest.mark.parametrize("net", [ROUTED], ids=lambda net: net.name, indirect=True, scope="module")
def test_a_link_that_is_missing_stops_the_start(guest: Guest) -> None:
    guest.gnt("shutdown", "--timeout=0")
    table = ["ip", "route", "del", "default", "table", TABLE]
    guest.lab.node(1).run(table, timeout_s=30)
    started = start(guest)
    assert f"error: tap0: table {TABLE} has no default" in shown(started), started
    again = ["ip", "route", "add", "default", "via", guest.net.gateway, "dev", UPLINK, "table", TABLE]
    guest.lab.node(1).run(again, timeout_s=30)
    assert start(guest).status == 0


def start(guest: Guest) -> Result:
    return call(guest.lab.master, ["gnt-instance", "start", guest.name], timeout_s=JOB_S)


def shown(result: Result) -> str:
    return result.stdout + result.stderr
