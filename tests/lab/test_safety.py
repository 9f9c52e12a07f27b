# SPDX-License-Identifier: BSD-2-Clause
"""Open, close and fence: who may write to a volume, after whatever happened to the others."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from lab.console import GuestReport, guest_report
from lab.golden import golden
from lab.guest import WRITER
from lab.guest_writer import MOST_SLOTS
from lab.lab import Lab
from lab.node import Node
from lab.timeline import Timeline
from tests.lab.support import Provider, Store, call, imported
from tests.lab.test_instance import BOOT_S, Instance

pytestmark = pytest.mark.lab

KEY = "ganeti-cloud.open."
PATIENCE_S = 60.0


def until(holds: Callable[[], bool], what: str, *, timeout_s: float = PATIENCE_S) -> None:
    """Wait until it *holds*; fails the test when it does not in time."""
    end = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def openings(store: Store, volume: str) -> Mapping[str, bool]:
    """The addresses that have *volume* open, and whether they have it exclusively."""
    keys = store.node.run(["rados", "-p", "rbd", "listxattr", f"rbd_id.{volume}"], timeout_s=60).split()
    found = {}
    for key in keys:
        assert key.startswith(KEY)
        text = store.node.run(["rados", "-p", "rbd", "getxattr", f"rbd_id.{volume}", key], timeout_s=60)
        found[key.removeprefix(KEY)] = bool(json.loads(text)["exclusive"])
    return found


def clients(store: Store, volume: str) -> set[str]:
    """The clients that are connected to *volume*."""
    status = json.loads(store.node.run(["rbd", "status", "--format=json", volume], timeout_s=60))
    return {watcher["address"] for watcher in status["watchers"]}


def watchers(store: Store, volume: str) -> list[str]:
    """The addresses of the nodes whose clients are connected to *volume*, one for each client."""
    return sorted(client.partition(":")[0] for client in clients(store, volume))


def fenced(store: Store) -> set[str]:
    """The clients on the blocklist."""
    return set(
        re.findall(r"^([\d.]+:0/\d+) ", call(store.node, ["ceph", "osd", "blocklist", "ls"]).stdout, re.MULTILINE)
    )


@dataclass(frozen=True)
class Writing:
    """The guest's writer, at work on a device of a node."""

    node: Node
    device: str

    @property
    def _state(self) -> str:
        return f"/run/writer{self.device.rpartition('/')[2]}"

    def start(self) -> None:
        program = ["/usr/bin/python3", f"/srv/shared/{WRITER.name}", "write", self.device, self._state]
        self.node.run(["systemd-run", "--unit=writer", *program], timeout_s=60)

    def stop(self) -> None:
        self.node.run(["systemctl", "stop", "writer"], timeout_s=60)

    def counters(self) -> Mapping[str, int]:
        text = call(self.node, ["cat", self._state]).stdout
        return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", text)}


def check(node: Node, device: str, least: int) -> int:
    """How many writes are on *device*: *least* or more, and none of them wrong."""
    result = call(node, ["/usr/bin/python3", f"/srv/shared/{WRITER.name}", "check", device, str(least)])
    assert result.status == 0, result
    return int(result.stdout.partition("writes=")[2].split()[0])


@pytest.fixture
def trio(lab: Lab, provider: Provider) -> Iterator[list[Provider]]:
    """The scripts on all three nodes, for a volume of 16 MiB that the first has made."""
    shutil.copy(WRITER, lab.places.shared)
    all_three = [provider, *(Provider(lab.node(number), provider.volume) for number in (2, 3))]
    provider.ok("create", VOL_SIZE="16")
    yield all_three
    for each in all_three:
        each.ok("detach")
    for each in all_three:  # only now: the nodes see each other's loop devices
        assert each.traces() == []


def test_the_notes_of_who_has_it_open(trio: list[Provider], store: Store) -> None:
    one, two, three = trio
    for provider in trio:
        provider.ok("attach")
    assert openings(store, one.volume) == {}
    for exclusive in (True, True, False, False):
        one.ok("open", VOL_OPEN_EXCLUSIVE=str(exclusive))
        assert openings(store, one.volume) == {one.node.address: exclusive}
    two.ok("close")  # as on the target of a migration, where nothing is open yet
    assert watchers(store, one.volume) == [one.node.address, three.node.address]
    two.ok("attach")
    two.ok("open", VOL_OPEN_EXCLUSIVE="False")
    assert openings(store, one.volume) == {one.node.address: False, two.node.address: False}
    for _ in range(2):
        one.ok("close")
        assert openings(store, one.volume) == {two.node.address: False}
    before = fenced(store)
    two.ok("open", VOL_OPEN_EXCLUSIVE="True")
    assert (fenced(store), watchers(store, one.volume)) == (before, [two.node.address, three.node.address])
    two.ok("detach")
    assert openings(store, one.volume) == {}


def test_what_one_has_for_itself_is_not_shared(trio: list[Provider], store: Store) -> None:
    one, two, _ = trio
    for provider in (one, two):
        provider.ok("attach")
    one.ok("open", VOL_OPEN_EXCLUSIVE="True")
    refused = two("open", VOL_OPEN_EXCLUSIVE="False")
    assert refused.status == 1
    assert refused.stderr.startswith(f"error: volume {one.volume} is open exclusively on {one.node.hostname} since 20")
    assert openings(store, one.volume) == {one.node.address: True}


def test_what_is_gone_is_closed_and_not_opened(trio: list[Provider], store: Store) -> None:
    one, *_ = trio
    one.ok("attach")
    one.ok("open", VOL_OPEN_EXCLUSIVE="True")
    one.ok("remove")
    one.ok("close")
    refused = one("open", VOL_OPEN_EXCLUSIVE="True")
    assert (refused.status, refused.stderr.splitlines()[0]) == (1, f"error: there is no volume {one.volume} in rbd")


def test_a_cluster_that_is_stuck_keeps_no_volume_attached(trio: list[Provider], store: Store) -> None:
    """The note stays, and does no harm: another node opens the volume."""
    one, two, _ = trio
    one.ok("attach")
    one.ok("open", VOL_OPEN_EXCLUSIVE="True")
    store.node.run(["systemctl", "kill", "--signal=STOP", "lab-ceph-mon", "lab-ceph-osd0"], timeout_s=30)
    try:
        assert one("detach").status == 0
    finally:
        store.node.run(["systemctl", "kill", "--signal=CONT", "lab-ceph-mon", "lab-ceph-osd0"], timeout_s=30)
    assert (one.traces(), openings(store, one.volume)) == ([], {one.node.address: True})
    two.ok("attach")
    two.ok("open", VOL_OPEN_EXCLUSIVE="True")
    assert openings(store, one.volume) == {two.node.address: True}


def test_a_node_that_hung_cannot_write_to_a_volume_that_moved(trio: list[Provider], store: Store) -> None:
    one, two, three = trio
    device, *_ = one.ok("attach").splitlines()
    old = Writing(one.node, device)
    one.ok("open", VOL_OPEN_EXCLUSIVE="True")
    stray, *_ = three.ok("attach").splitlines()  # as after `gnt-cluster verify`
    old.start()
    until(lambda: old.counters().get("writes", 0) > 64, "no writes")
    with one.node.frozen():
        until(lambda: one.node.address not in watchers(store, one.volume), "still connected")
        before = fenced(store)
        moved, *_ = two.ok("attach").splitlines()
        said = two("open", VOL_OPEN_EXCLUSIVE="True")
        assert f"open: {one.node.hostname} had {one.volume} open since " in said.stderr
        assert {client.partition(":")[0] for client in fenced(store) - before} == {one.node.address}
        assert openings(store, one.volume) == {two.node.address: True}
        there = check(two.node, moved, 65)
        two.node.run(["dd", "if=/dev/zero", f"of={moved}", "bs=1M", "count=16", "oflag=direct"], timeout_s=60)
    until(lambda: old.counters()["errors"] >= 3, "the old writer was not refused")
    assert old.counters()["writes"] <= there
    assert check(two.node, moved, 0) == 0, "the old writer has written over the new one's zeros"

    in_use = one("open", VOL_OPEN_EXCLUSIVE="True")
    assert f"{device} of volume {one.volume} was fenced, or lost its connection, and is in use by" in in_use.stderr
    old.stop()
    assert three.node.address in watchers(store, one.volume)
    three.node.run(["dd", f"if={stray}", "of=/dev/null", "bs=1M", "count=1", "iflag=direct"], timeout_s=60)


def test_a_node_that_was_fenced_gets_the_volume_back(trio: list[Provider], store: Store) -> None:
    one, two, _ = trio
    device, *_ = one.ok("attach").splitlines()
    one.ok("open", VOL_OPEN_EXCLUSIVE="True")
    two.ok("attach")
    two.ok("open", VOL_OPEN_EXCLUSIVE="True")
    two.ok("close")
    assert one.ok("attach").splitlines()[0] == device  # which nobody can write to
    write = ["dd", "if=/dev/urandom", f"of={device}", "bs=4096", "count=1", "oflag=direct"]
    assert call(one.node, write).status == 1
    healed = one("open", VOL_OPEN_EXCLUSIVE="False")
    if "the kernel gave another device" in healed.stderr:
        # All nodes have the machine's loop devices in common, so that another one may just have taken this one.
        one.ok("open", VOL_OPEN_EXCLUSIVE="False")
        device, *_ = one.ok("attach").splitlines()
    else:
        assert healed.status == 0, healed
        assert one.ok("attach").splitlines()[0] == device
    one.node.run(["dd", "if=/dev/urandom", f"of={device}", "bs=4096", "count=1", "oflag=direct"], timeout_s=60)
    assert watchers(store, one.volume).count(one.node.address) == 1


# a guest that writes all the time, and Ganeti


@dataclass(frozen=True)
class Guest:
    """An instance whose guest writes to its second disk, *volume*."""

    instance: Instance
    store: Store
    volume: str

    def writes_on(self, verified: int = 0) -> GuestReport:
        """Its report when it has made some more writes, and *verified* so many slots."""
        node = self.instance.primary
        first = report = guest_report(node, self.instance.name, timeout_s=BOOT_S)
        end = time.monotonic() + PATIENCE_S
        while report.writes < first.writes + 20 or report.verified < first.verified + verified:
            assert time.monotonic() < end, f"the guest has stopped to write: {report}"
            report = guest_report(node, self.instance.name, timeout_s=PATIENCE_S)
        assert (report.mismatches, report.errors) == (0, 0), report
        return report

    def left_on(self, node: Node) -> str:
        """What a node has of its disks."""
        return node.run(["find", "/run/ganeti-cloud/archipelago", "-name", "*.disk*"], timeout_s=60)


KERNELSPACE = pytest.mark.parametrize("guest", ["kernelspace"], indirect=True, scope="module")
USERSPACE = pytest.mark.parametrize("guest", ["userspace"], indirect=True, scope="module")


@pytest.fixture(scope="module")
def guest(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Guest]:
    """The guest, on node 2; its QEMU uses the block device of its second disk, or the volume itself."""
    instance = Instance(lab, "inst7.lab.test")
    shutil.copy(WRITER, lab.places.shared)
    store = Store(lab)
    objects = store.objects()
    with imported(lab, "boot", golden(lab.spec.release, Timeline()).path):
        disks = ["--disk", "0:size=64M,provider=archipelago,origin=boot"]
        disks += ["--disk", f"1:size=64M,provider=archipelago,access={request.param}"]
        node = lab.node(2).hostname
        instance.gnt("add", "-t", "ext", *disks, "-o", "noop", "-n", node, "--net=0:link=br-lan")
        [volume] = [name for name in store.names() if name.endswith(".disk1")]
        yield Guest(instance, store, volume)
        instance.gnt("remove", "-f", "--shutdown-timeout=1")
    assert store.leftovers(objects) == frozenset()


def both_attached(guest: Guest, seen: set[tuple[str, ...]], stop: threading.Event) -> None:
    """Keep in *seen* which nodes were connected to the volume at the same time."""
    while not stop.wait(0.7):
        seen.add(tuple(sorted(set(watchers(guest.store, guest.volume)))))


@pytest.mark.parametrize("guest", ["kernelspace", "userspace"], indirect=True, scope="module")
def test_a_migration_under_a_writer(lab: Lab, guest: Guest) -> None:
    before, was_fenced = guest.writes_on(), fenced(guest.store)
    seen: set[tuple[str, ...]] = set()
    stop = threading.Event()
    look = threading.Thread(target=both_attached, args=(guest, seen, stop))
    look.start()
    guest.instance.gnt("migrate", "-f", "-n", lab.node(3).hostname)
    stop.set()
    look.join()
    after = guest.writes_on(verified=MOST_SLOTS)
    assert guest.instance.primary.name == "node3"
    assert after.uptime_s > before.uptime_s and after.writes > before.writes
    assert (lab.node(2).address, lab.node(3).address) in seen
    assert openings(guest.store, guest.volume) == {lab.node(3).address: True}
    assert set(watchers(guest.store, guest.volume)) == {lab.node(3).address}
    assert (guest.left_on(lab.node(2)), fenced(guest.store)) == ("", was_fenced)


@KERNELSPACE
def test_a_migration_that_fails_under_a_writer(lab: Lab, guest: Guest) -> None:
    source = guest.instance.primary
    [target] = [node for node in lab.ganeti_nodes if node.name in ("node2", "node3") and node.name != source.name]
    before, was_fenced = guest.writes_on(), fenced(guest.store)
    kill = "until pkill -KILL -f '[q]emu-system.*-incoming'; do sleep 0.1; done"
    target.run(["systemd-run", "--unit=accident", "sh", "-c", kill], timeout_s=60)
    migrate = ["gnt-instance", "migrate", "-f", "-n", target.hostname, guest.instance.name]
    result = call(lab.master, migrate)
    call(target, ["systemctl", "stop", "accident"])
    assert result.status != 0
    after = guest.writes_on()
    assert guest.instance.primary.name == source.name
    assert after.uptime_s > before.uptime_s and after.writes > before.writes
    assert openings(guest.store, guest.volume) == {source.address: True}
    assert set(watchers(guest.store, guest.volume)) == {source.address}
    assert (guest.left_on(target), fenced(guest.store)) == ("", was_fenced)


@KERNELSPACE
def test_the_cleanup_of_an_interrupted_migration(lab: Lab, guest: Guest) -> None:
    """The job died in the middle: both have it attached and open, shared, and Ganeti's cleanup detaches nothing."""
    source = guest.instance.primary
    [target] = [node for node in lab.ganeti_nodes if node.name in ("node2", "node3") and node.name != source.name]
    for node in (source, target):
        Provider(node, guest.volume).ok("attach")
        Provider(node, guest.volume).ok("open", VOL_OPEN_EXCLUSIVE="False")
    cleanup = ["gnt-instance", "migrate", "--cleanup", "-f", "-n", target.hostname, guest.instance.name]
    lab.master.run(cleanup, timeout_s=120)
    guest.writes_on()
    assert openings(guest.store, guest.volume) == {source.address: True}
    assert set(watchers(guest.store, guest.volume)) == {source.address}
    assert guest.left_on(target) == ""


@USERSPACE
def test_a_node_that_died_in_mid_write(lab: Lab, guest: Guest) -> None:
    """QEMU's own client was not there yet when the volume was opened, and it is not connected any more."""
    dead = guest.instance.primary
    [heir] = [node for node in lab.ganeti_nodes if node.name in ("node2", "node3") and node.name != dead.name]
    before, dead_clients = guest.writes_on(), clients(guest.store, guest.volume)
    assert len(dead_clients) == 2
    lab.crash(dead.name)
    lab.master.run(["gnt-node", "modify", "--offline=yes", dead.hostname], timeout_s=120)
    failover = ["gnt-instance", "failover", "-f", "-n", heir.hostname, "--ignore-consistency", guest.instance.name]
    lab.master.confirm(failover, timeout_s=300)
    after = guest.writes_on()
    assert guest.instance.primary.name == heir.name
    assert after.writes > before.writes
    assert openings(guest.store, guest.volume) == {heir.address: True}
    assert dead_clients <= fenced(guest.store)
    Lab.up(lab.spec)
