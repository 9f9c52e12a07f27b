# SPDX-License-Identifier: BSD-2-Clause
"""Operations of a real Ganeti: what is told of them, where, and what is left of taps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ganeti_cloud.messages import BEGIN, INSTANCE, OBJECT_BEGIN, Event, decode
from lab.console import guest_report
from lab.golden import golden
from lab.lab import Lab
from lab.network import BRIDGE
from lab.node import Node
from lab.spec import Release
from lab.timeline import Timeline
from tests.lab.support import call, imported

pytestmark = pytest.mark.lab

JOB_S = 300.0
BOOT_S = 240.0
NAME = "inst7.lab.test"
SPOOL = "/var/spool/ganeti-cloud"
CANARY = "canary-9c1f4a"
# For documentation: RFC 5737 and RFC 3849.
NETWORK, SUBNET, SUBNET6 = "hooked", "203.0.113.0/24", "2001:db8:63::/64"


@dataclass
class Cluster:
    """A lab, and what was in its spools before."""

    lab: Lab
    before: dict[str, set[str]] = field(default_factory=dict)

    def gnt(self, *words: str) -> str:
        """One of Ganeti's programs, on the master."""
        return self.lab.master.run([f"gnt-{words[0]}", *words[1:]], timeout_s=JOB_S)

    def begin(self) -> None:
        self.before = {node.name: names(node) for node in self.lab.ganeti_nodes}

    def told(self, node: Node) -> list[Event]:
        """What was put into the spool of *node* since, in order."""
        new = sorted(names(node) - self.before[node.name])
        return [decode(node.run(["cat", f"{SPOOL}/{name}"], timeout_s=30)) for name in new]

    def of(self, *words: str) -> list[Event]:
        """What the master is told while it runs one of Ganeti's programs; the others are told nothing."""
        self.begin()
        self.gnt(*words)
        others = [node for node in self.lab.ganeti_nodes if node.name != self.lab.master.name]
        assert {node.name: self.told(node) for node in others} == {node.name: [] for node in others}
        return self.told(self.lab.master)


def names(node: Node) -> set[str]:
    """The files in its spool that are events."""
    listed = node.run(["ls", SPOOL], timeout_s=30).split()
    return {name for name in listed if name.endswith(".json")}


def taps(node: Node) -> dict[str, str]:
    """By tap of which anything is known on *node*, how it is; nobody else looks for what is left meanwhile."""
    rows = json.loads(node.run(["kvm-ifup", "show", "--json"], timeout_s=60))
    bindings = call(node, ["ls", "/var/lib/nfdhcpd"]).stdout.split()
    return {**dict.fromkeys(bindings, "binding"), **{row["tap"]: row["phase"] for row in rows}}


def shown(events: list[Event]) -> list[tuple[str, str, str]]:
    return [(event.type, event.subject, event.fields["operation"]) for event in events]


def pair(operation: str) -> list[tuple[str, str, str]]:
    """What is told of an operation that succeeds."""
    return [(BEGIN, NAME, operation), (INSTANCE, NAME, operation)]


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Cluster]:
    """Nothing empties the spools, and nothing but the hooks looks for taps that are gone."""
    for node in lab.ganeti_nodes:
        node.run(["systemctl", "stop", "kvm-ifup-reconcile.timer"], timeout_s=60)
        call(node, ["systemctl", "stop", "ganeti-eventd.service"])
        node.write("/srv/ganeti/os/noop/parameters.list", "password Of nobody.\nkey Of nothing.\nword Of honour.\n")
    cluster = Cluster(lab)
    yield cluster
    for node in lab.ganeti_nodes:
        node.write("/srv/ganeti/os/noop/parameters.list", "")
        node.run(["systemctl", "start", "kvm-ifup-reconcile.timer"], timeout_s=60)
        call(node, ["systemctl", "start", "ganeti-eventd.service"])


def test_every_hook_is_linked(cluster: Cluster) -> None:
    for node in cluster.lab.ganeti_nodes:
        done = call(node, ["ganeti-cloud-hooks", "status"])
        assert done.status == 0, done


def test_networks(cluster: Cluster) -> None:
    add = ("network", "add", f"--network={SUBNET}", f"--network6={SUBNET6}", "--tags=nfdhcpd", NETWORK)
    [event] = cluster.of(*add)
    assert shown([event]) == [(OBJECT_BEGIN, NETWORK, "OP_NETWORK_ADD")]
    assert event.fields["object_type"] == "NETWORK"
    # Ganeti does not say which.
    assert cluster.of("network", "connect", f"--nic-parameters=mode=bridged,link={BRIDGE}", NETWORK) == []
    [event] = cluster.of("network", "modify", "--gateway=203.0.113.1", NETWORK)
    assert event.subject == NETWORK
    assert cluster.of("network", "disconnect", NETWORK) == []
    [event] = cluster.of("network", "remove", NETWORK)
    assert event.fields["operation"] == "OP_NETWORK_REMOVE"


def test_groups_and_the_cluster(cluster: Cluster) -> None:
    [event] = cluster.of("group", "add", "second")
    assert (event.type, event.subject, event.fields["object_type"]) == (OBJECT_BEGIN, "second", "GROUP")
    assert [event.subject for event in cluster.of("group", "remove", "second")] == ["second"]
    [event] = cluster.of("cluster", "modify", "--candidate-pool-size=10")
    assert (event.type, event.fields["object_type"]) == (OBJECT_BEGIN, "CLUSTER")


@pytest.fixture
def network(cluster: Cluster) -> Iterator[None]:
    cluster.gnt("network", "add", f"--network={SUBNET}", f"--network6={SUBNET6}", "--tags=nfdhcpd", NETWORK)
    cluster.gnt("network", "connect", f"--nic-parameters=mode=bridged,link={BRIDGE}", NETWORK)
    yield
    cluster.gnt("network", "disconnect", NETWORK)
    cluster.gnt("network", "remove", NETWORK)


@pytest.fixture
def image(cluster: Cluster) -> Iterator[str]:
    release = cluster.lab.spec.release
    with imported(cluster.lab, "hooked", golden(release, Timeline()).path):
        yield "hooked"


def test_the_life_of_an_instance(cluster: Cluster, network: None, image: str) -> None:
    """It begins on another node than the master, so that events and taps are on different ones."""
    lab = cluster.lab
    assert lab.master.name == "node1"
    second, third = lab.node(2), lab.node(3)
    parameters = [f"--os-parameters=password={CANARY}-1", f"--os-parameters-private=key={CANARY}-2"]
    parameters += [f"--os-parameters-secret=word={CANARY}-3", "--tags=synnefo:network:0:protected"]
    disk = f"--disk=0:size=64M,provider=archipelago,origin={image}"
    nics = [f"--net=0:network={NETWORK},ip=pool,name=front", f"--net=1:mode=bridged,link={BRIDGE}"]
    add = ["instance", "add", "-t", "ext", disk, "-o", "noop", "-n", second.hostname, *nics, *parameters, NAME]
    events = cluster.of(*add)
    assert shown(events) == pair("OP_INSTANCE_CREATE")
    looks: dict[str, Any] = dict(events[1].fields)
    front, back = looks["nics"]
    assert front["ip"].startswith("203.0.113.") and front["ipv6"].startswith("2001:db8:63:")
    assert (front["name"], front["network"], front["firewall"], front["mode"]) == (
        "front",
        NETWORK,
        "protected",
        "bridged",
    )
    assert (back["ip"], back["network"], back["firewall"], back["link"]) == (None, None, None, BRIDGE)
    assert (looks["disks"][0]["size"], looks["primary_node"]) == (64, second.hostname)
    assert "incomplete" not in looks
    assert sorted(taps(second).values()) == ["up", "up"]

    assert shown(cluster.of("instance", "shutdown", "--timeout=1", NAME)) == pair("OP_INSTANCE_SHUTDOWN")
    assert taps(second) == {}

    assert shown(cluster.of("instance", "startup", NAME)) == pair("OP_INSTANCE_STARTUP")
    assert shown(cluster.of("instance", "reboot", "--type=hard", "--shutdown-timeout=1", NAME)) == pair(
        "OP_INSTANCE_REBOOT"
    )
    assert sorted(taps(second).values()) == ["up", "up"]

    guest_report(second, NAME, timeout_s=BOOT_S)  # only a system that runs lets a NIC be unplugged
    flags = ["--hotplug"] if lab.spec.release is Release.BOOKWORM else []  # later it is the default
    events = cluster.of("instance", "modify", *flags, "--net=1:remove", NAME)
    assert shown(events) == pair("OP_INSTANCE_SET_PARAMS")
    assert [nic["name"] for nic in events[1].fields["nics"]] == ["front"]
    assert list(taps(second).values()) == ["up"]

    events = cluster.of("instance", "migrate", "-f", "-n", third.hostname, NAME)
    assert shown(events) == pair("OP_INSTANCE_MIGRATE")
    assert events[1].fields["primary_node"] == third.hostname
    assert (taps(second), list(taps(third).values())) == ({}, ["up"])

    events = cluster.of("instance", "failover", "-f", "--shutdown-timeout=1", "-n", second.hostname, NAME)
    assert shown(events) == pair("OP_INSTANCE_FAILOVER")
    assert (list(taps(second).values()), taps(third)) == (["up"], {})

    events = cluster.of("instance", "grow-disk", NAME, "0", "64M")
    assert shown(events) == pair("OP_INSTANCE_GROW_DISK")
    assert events[1].fields["disks"][0]["size"] == 128

    events = cluster.of("instance", "remove", "-f", "--shutdown-timeout=1", NAME)
    assert shown(events) == pair("OP_INSTANCE_REMOVE")
    assert (events[1].fields["nics"], events[1].fields["primary_node"]) == ([], None)
    assert taps(second) == {}

    for node in lab.ganeti_nodes:
        found = call(node, ["grep", "-rlF", CANARY, SPOOL, "/var/lib/ganeti-cloud"])
        assert (found.status, found.stdout) == (1, "")
    rows = json.loads(call(third, ["ganeti-cloud-hooks", "status", "--json"]).stdout)
    assert {row["hook"] for row in rows if row["last_run"]} >= {"instance-migrate-pre", "instance-migrate-post"}


def test_an_operation_goes_on_without_a_spool(cluster: Cluster) -> None:
    master = cluster.lab.master
    master.run(["mv", SPOOL, f"{SPOOL}.away"], timeout_s=30)
    try:
        cluster.gnt("group", "add", "third")
        cluster.gnt("group", "remove", "third")
    finally:
        master.run(["mv", f"{SPOOL}.away", SPOOL], timeout_s=30)
    assert "the event of third is lost" in master.run(
        ["journalctl", "--identifier=ganeti-cloud-hooks", "--output=cat"], timeout_s=30
    )
