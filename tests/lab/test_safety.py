# SPDX-License-Identifier: BSD-2-Clause
"""Open, close and fence: who may write to a volume, after whatever happened to the others."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from lab.guest import WRITER
from lab.lab import Lab
from lab.node import Node
from tests.lab.support import Provider, Store, call

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


def watchers(store: Store, volume: str) -> list[str]:
    """The addresses of the nodes whose clients are connected to *volume*, one for each client."""
    status = json.loads(store.node.run(["rbd", "status", "--format=json", volume], timeout_s=60))
    return sorted(watcher["address"].partition(":")[0] for watcher in status["watchers"])


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
    two.ok("open", VOL_OPEN_EXCLUSIVE="False")
    assert openings(store, one.volume) == {one.node.address: False, two.node.address: False}
    for _ in range(2):
        one.ok("close")
        assert openings(store, one.volume) == {two.node.address: False}
    before = fenced(store)
    two.ok("open", VOL_OPEN_EXCLUSIVE="True")
    assert (fenced(store), watchers(store, one.volume)) == (before, sorted(each.node.address for each in trio))
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
    one.ok("close")
    one.ok("open", VOL_OPEN_EXCLUSIVE="False")
    assert one.ok("attach").splitlines()[0] == device
    one.node.run(write, timeout_s=60)
    assert watchers(store, one.volume).count(one.node.address) == 1
