# SPDX-License-Identifier: BSD-2-Clause
"""Moving the disk of an instance to another pool, while a writer in its guest checks every write."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.console import GuestReport, guest_report
from lab.golden import golden
from lab.lab import Lab
from lab.node import Node
from lab.spec import STORE, Release
from lab.timeline import Timeline
from tests.lab.support import Provider, Result, call, imported

pytestmark = pytest.mark.lab

JOB_S = 300.0
BOOT_S = 240.0
INSTANCE = "inst7.lab.test"
POOLS = ("rbd", "labfast")
MIGRATE = ["archipelago", "volume", "migrate"]
INTERRUPTING = Path(__file__).with_name("interrupting.py")


@dataclass
class Guest:
    """An instance whose guest writes to its second disk, the volume that is moved."""

    lab: Lab
    boot_volume: str
    volume: str

    def gnt(self, command: str, *arguments: str) -> str:
        return self.lab.master.run(["gnt-instance", command, *arguments, INSTANCE], timeout_s=JOB_S)

    @property
    def node(self) -> Node:
        """Where Ganeti has the instance."""
        return self.lab.node(self.gnt("list", "--no-headers", "-o", "pnode").strip().partition(".")[0])

    def migrate(self, *arguments: str) -> Result:
        return call(self.node, [*MIGRATE, self.volume, *arguments], timeout_s=JOB_S)

    def interrupted(self, effect: str, *arguments: str) -> str:
        """Move it and die before *effect*; what it died before, empty when it did not die."""
        script = f"/srv/shared/{INTERRUPTING.name}"
        (self.lab.places.shared / INTERRUPTING.name).write_bytes(INTERRUPTING.read_bytes())
        done = call(self.node, ["/usr/bin/python3", script, effect, self.volume, *arguments], timeout_s=JOB_S)
        return done.stdout.strip() if done.status == -signal.SIGKILL else ""

    def pools(self) -> list[str]:
        """In which pools there is a volume of this name."""
        return [pool for pool in POOLS if self.volume in self.lab.node(STORE).run(["rbd", "ls", pool], timeout_s=60)]

    def other(self) -> str:
        """The pool where the volume is not."""
        return next(pool for pool in POOLS if pool not in self.pools())

    def recorded(self) -> dict[str, str]:
        """The parameters of the disk by which Ganeti would start it."""
        disks = json.loads(self.lab.master.run(["cat", "/var/lib/ganeti/config.data"], timeout_s=60))["disks"]
        [disk] = [disk for disk in disks.values() if disk["logical_id"] == ["archipelago", self.volume]]
        return {key: disk["params"][key] for key in ("driver", "pool") if key in disk["params"]}

    def hear(self) -> GuestReport:
        return guest_report(self.node, INSTANCE, timeout_s=BOOT_S)

    def unharmed(self, since: GuestReport | None = None) -> GuestReport:
        """Hear that the guest has written and verified something more, and missed nothing."""
        heard = self.hear()
        while heard.writes < (since.writes if since else 0) + 10 or heard.verified == 0:
            heard = self.hear()
        assert (heard.mismatches, heard.errors) == (0, 0)
        return heard

    def traces(self) -> dict[str, list[str]]:
        """The daemons of the volume on each node, by the pool that they serve."""
        found = {}
        for node in self.lab.ganeti_nodes:
            daemons = call(node, ["pgrep", "-fa", f"qemu-storage-daemon.*{self.volume}"]).stdout.splitlines()
            found[node.name] = [pool for pool in POOLS for line in daemons if f'"pool": "{pool}"' in line]
        return {name: pools for name, pools in found.items() if pools}

    def is_whole_in(self, pool: str) -> None:
        """The volume is in *pool* alone; Ganeti knows that; and on no node is anything left of another."""
        assert self.pools() == [pool]
        assert self.recorded() == {"driver": "rados", "pool": pool}
        assert self.traces() == {self.node.name: [pool]}
        link = call(self.node, ["readlink", f"/run/ganeti/instance-disks/{INSTANCE}:1"]).stdout.strip()
        info = self.gnt("info")
        assert f"on primary: {link} " in info


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[Guest]:
    store = lab.node(STORE)
    store.run(["ceph", "osd", "pool", "create", "labfast", "8"], timeout_s=60)
    store.run(["rbd", "pool", "init", "labfast"], timeout_s=60)
    with imported(lab, "moving", golden(lab.spec.release, Timeline()).path):
        node = lab.node(2).hostname
        argv = ["gnt-instance", "add", "-t", "ext", "-o", "noop", "-n", node, "--net=0:link=br-lan"]
        argv += ["--disk", "0:size=64M,provider=archipelago,origin=moving", "--disk", "1:size=64M,provider=archipelago"]
        lab.master.run([*argv, INSTANCE], timeout_s=JOB_S)
        volumes = json.loads(lab.master.run(["cat", "/var/lib/ganeti/config.data"], timeout_s=60))["disks"].values()
        yield Guest(lab, *sorted((disk["logical_id"][1] for disk in volumes), key=lambda name: name[-1]))
        if INSTANCE in lab.master.run(["gnt-instance", "list", "--no-headers", "-o", "name"], timeout_s=JOB_S):
            lab.master.run(["gnt-instance", "remove", "-f", "--shutdown-timeout=1", INSTANCE], timeout_s=JOB_S)
    store.run(["ceph", "osd", "pool", "delete", "labfast", "labfast", "--yes-i-really-really-mean-it"], timeout_s=60)


def test_a_dry_run_and_a_wrong_node_change_nothing(guest: Guest) -> None:
    said = guest.migrate("--to", "rados:labfast", "--dry-run")
    assert "would move" in said.stdout
    assert f"rados:rbd/{guest.volume} -> rados:labfast/{guest.volume}" in said.stdout
    elsewhere = call(guest.lab.node(3), [*MIGRATE, guest.volume, "--to", "rados:labfast"])
    assert elsewhere.status == 1
    assert "belongs to node2.lab.test" in elsewhere.stderr
    assert guest.pools() == ["rbd"]


def test_a_volume_moves_while_its_guest_writes(guest: Guest) -> None:
    before = guest.unharmed()
    moved = guest.migrate("--to", "rados:labfast", "--json")
    assert moved.status == 0, moved
    assert json.loads(moved.stdout)["done"] == "moved"
    guest.is_whole_in("labfast")
    after = guest.unharmed(before)
    assert after.uptime_s > before.uptime_s
    again = guest.migrate("--to", "rados:labfast")
    assert (again.status, "nothing to do" in again.stdout) == (0, True)


def test_the_instance_moves_on_with_its_disk(guest: Guest) -> None:
    before = guest.hear()
    guest.gnt("migrate", "-f")
    assert guest.unharmed(before).uptime_s > before.uptime_s
    guest.is_whole_in("labfast")
    guest.lab.master.run(["gnt-cluster", "verify", "--ignore-errors=ENODESETUP"], timeout_s=JOB_S)


# Effects of a move, in their order, and what the next run is told. All others were tried by hand; these are the ones
# between which the state of something changes.
DEATHS = {
    "create": "--abort",
    "open_volume": "--abort",
    "blockdev-mirror": "",
    "symlink": "--abort",
    "job-complete": "",
    "blockdev-del": "",
    "qom-set": "",
    "change": "",
    "detach": "",
    "remove": "",
}


def test_whatever_it_is_killed_at_the_volume_is_whole_at_one_place(guest: Guest) -> None:
    before = guest.unharmed()
    for effect, then in DEATHS.items():
        old, new = guest.pools()[0], guest.other()
        died = guest.interrupted(effect, "--to", f"rados:{new}")
        assert died.endswith(effect), (effect, died)
        done = guest.migrate(then or f"--to=rados:{new}")
        assert (done.status, guest.pools()) == (0, [old if then else new]), (effect, done)
    assert guest.interrupted("blockdev-del", "--to", f"rados:{guest.other()}")
    late = guest.migrate("--abort")
    assert (late.status, "already, where the instance writes to" in late.stderr) == (1, True), late
    assert guest.migrate().status == 0
    guest.is_whole_in(guest.pools()[0])
    guest.unharmed(before)


def test_in_the_middle_ganeti_cannot_take_the_instance_elsewhere(guest: Guest) -> None:
    before = guest.hear()
    pool = guest.other()
    assert guest.interrupted("job-complete", "--to", f"rados:{pool}")
    refused = call(guest.lab.master, ["gnt-instance", "migrate", "-f", INSTANCE], timeout_s=JOB_S)
    assert refused.status != 0
    assert f"volume {guest.volume} is being moved" in refused.stderr
    grown = call(guest.lab.master, ["gnt-instance", "grow-disk", INSTANCE, "1", "64M"], timeout_s=JOB_S)
    assert grown.status != 0
    assert guest.migrate().status == 0
    assert guest.pools() == [pool]
    guest.unharmed(before)
    for node in guest.lab.ganeti_nodes:  # the other disk, where Ganeti did not come to detaching it
        if node.name != guest.node.name:
            Provider(node, guest.boot_volume).ok("detach")


def test_a_stopped_instance_moves_too_and_starts_with_all_it_wrote(guest: Guest) -> None:
    guest.gnt("shutdown", "--timeout=1")
    old, new = guest.pools()[0], guest.other()
    assert guest.interrupted("copy", "--to", f"rados:{new}").endswith("copy")
    refused = call(guest.lab.master, ["gnt-instance", "startup", INSTANCE], timeout_s=JOB_S)
    assert "is being moved" in refused.stdout + refused.stderr
    assert guest.migrate("--abort").status == 0
    assert guest.pools() == [old]
    moved = guest.migrate("--to", f"rados:{new}")
    assert moved.status == 0, moved
    assert guest.pools() == [new]
    assert guest.traces() == {}
    guest.gnt("startup")
    guest.unharmed()


def test_a_disk_that_has_moved_can_be_unplugged(guest: Guest) -> None:
    if guest.lab.spec.release is Release.BOOKWORM:
        pytest.skip("Ganeti 3.0 unplugs disks with --hotplug only, which needs QEMU before 6")
    assert guest.migrate("--to", f"rados:{guest.other()}").status == 0
    guest.gnt("modify", "--disk=1:remove")
    assert guest.traces() == {}
    assert guest.pools() == []
