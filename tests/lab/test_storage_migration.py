# SPDX-License-Identifier: BSD-2-Clause
"""Moving the disk of an instance to another pool or driver, while a writer in its guest checks every write."""

from __future__ import annotations

import json
import signal
import time
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
from tests.lab.backends import FOLDER
from tests.lab.support import Provider, Result, call, imported, volumes_of

pytestmark = pytest.mark.lab

JOB_S = 300.0
BOOT_S = 240.0
INSTANCE = "inst7.lab.test"
RBD, FAST, FILE = "rados:rbd", "rados:labfast", "file:moved"
MIGRATE = ["archipelago", "volume", "migrate"]
INTERRUPTING = Path(__file__).with_name("interrupting.py")


@dataclass
class Guest:
    """An instance whose guest writes to its second disk, the volume that is moved."""

    lab: Lab
    node: Node
    boot_volume: str
    volume: str

    def gnt(self, command: str, *arguments: str) -> str:
        return self.lab.master.run(["gnt-instance", command, *arguments, INSTANCE], timeout_s=JOB_S)

    def live_migrate(self) -> None:
        """Have Ganeti take the instance to another node."""
        self.gnt("migrate", "-f")
        self.node = self.lab.node(self.gnt("list", "--no-headers", "-o", "pnode").strip().partition(".")[0])

    def migrate(self, *arguments: str) -> Result:
        return call(self.node, [*MIGRATE, self.volume, *arguments], timeout_s=JOB_S)

    def interrupted(self, effect: str, *arguments: str) -> str:
        """Move it and die before *effect*; what it died before, empty when it did not die."""
        script = f"/srv/shared/{INTERRUPTING.name}"
        (self.lab.places.shared / INTERRUPTING.name).write_bytes(INTERRUPTING.read_bytes())
        done = call(self.node, ["/usr/bin/python3", script, effect, self.volume, *arguments], timeout_s=JOB_S)
        return done.stdout.strip() if done.status == -signal.SIGKILL else ""

    def places(self) -> list[str]:
        """The places where there is a volume of this name."""
        store = self.lab.node(STORE)
        found = [place for place in (RBD, FAST) if self.volume in store.run(["rbd", "ls", place[6:]], timeout_s=60)]
        records = self.lab.places.shared / "archipelago/moved/volumes"
        return [*found, *([FILE] if (records / f"{self.volume}.json").exists() else [])]

    def other(self) -> str:
        """The pool of Ceph where the volume is not."""
        return next(place for place in (FAST, RBD) if place not in self.places())

    def recorded(self) -> str:
        """The place where Ganeti would look for the disk."""
        disks = json.loads(self.lab.master.run(["cat", "/var/lib/ganeti/config.data"], timeout_s=60))["disks"]
        [disk] = [disk for disk in disks.values() if disk["logical_id"] == ["archipelago", self.volume]]
        return f"{disk['params']['driver']}:{disk['params']['pool']}"

    def hear(self) -> GuestReport:
        return guest_report(self.node, INSTANCE, timeout_s=BOOT_S)

    def unharmed(self, since: GuestReport | None = None) -> GuestReport:
        """Hear that the guest has written and verified something more, and missed nothing."""
        end = time.monotonic() + BOOT_S
        heard = self.hear()
        while heard.writes < (since.writes if since else 0) + 10 or heard.verified == 0:
            assert time.monotonic() < end, heard
            heard = self.hear()
        assert (heard.mismatches, heard.errors) == (0, 0)
        return heard

    def traces(self) -> dict[str, int]:
        """How many mappings of the volume each node has, of those that have any."""
        listed = {
            node.name: call(node, ["pgrep", "-fc", f"qemu-storage-daemon.*{self.volume}"]).stdout.strip()
            for node in self.lab.ganeti_nodes
        }
        return {name: int(number) for name, number in listed.items() if int(number)}

    def is_whole_at(self, place: str) -> None:
        """The volume is at *place* alone; Ganeti knows that; and on no node is anything left of another."""
        assert self.places() == [place]
        assert self.recorded() == place
        assert self.traces() == {self.node.name: 1}
        link = call(self.node, ["readlink", f"/run/ganeti/instance-disks/{INSTANCE}:1"]).stdout.strip()
        assert f"on primary: {link} " in self.gnt("info")


@pytest.fixture(scope="module")
def guest(lab: Lab) -> Iterator[Guest]:
    store = lab.node(STORE)
    store.run(["ceph", "osd", "pool", "create", "labfast", "8"], timeout_s=60)
    store.run(["rbd", "pool", "init", "labfast"], timeout_s=60)
    for node in lab.ganeti_nodes:
        node.run(["mkdir", "-p", "/srv/shared/archipelago/moved"], timeout_s=30)
        node.run(["ln", "-sfn", "/srv/shared/archipelago", FOLDER], timeout_s=30)
    with imported(lab, "moving", golden(lab.spec.release, Timeline()).path):
        primary = lab.node(2).hostname
        argv = ["gnt-instance", "add", "-t", "ext", "-o", "noop", "-n", primary, "--net=0:link=br-lan"]
        argv += ["--disk", "0:size=64M,provider=archipelago,origin=moving", "--disk", "1:size=64M,provider=archipelago"]
        lab.master.run([*argv, INSTANCE], timeout_s=JOB_S)
        yield Guest(lab, lab.node(2), *volumes_of(lab, INSTANCE))
        if INSTANCE in lab.master.run(["gnt-instance", "list", "--no-headers", "-o", "name"], timeout_s=JOB_S):
            lab.master.run(["gnt-instance", "remove", "-f", "--shutdown-timeout=1", INSTANCE], timeout_s=JOB_S)
    store.run(["ceph", "osd", "pool", "delete", "labfast", "labfast", "--yes-i-really-really-mean-it"], timeout_s=60)


def test_a_dry_run_and_a_wrong_node_change_nothing(guest: Guest) -> None:
    said = guest.migrate("--to", FAST, "--dry-run")
    assert "would move" in said.stdout
    assert f"rados:rbd/{guest.volume} -> rados:labfast/{guest.volume}" in said.stdout
    elsewhere = call(guest.lab.node(3), [*MIGRATE, guest.volume, "--to", FAST])
    assert elsewhere.status == 1
    assert "belongs to node2.lab.test" in elsewhere.stderr
    assert guest.places() == [RBD]


def test_a_volume_moves_while_its_guest_writes(guest: Guest) -> None:
    before = guest.unharmed()
    moved = guest.migrate("--to", FAST, "--json")
    assert moved.status == 0, moved
    assert json.loads(moved.stdout)["done"] == "moved"
    guest.is_whole_at(FAST)
    after = guest.unharmed(before)
    assert after.uptime_s > before.uptime_s
    again = guest.migrate("--to", FAST)
    assert (again.status, "nothing to do" in again.stdout) == (0, True)


@pytest.mark.driver_file
def test_a_volume_moves_to_a_shared_folder_and_back(guest: Guest) -> None:
    """With the instance on another node in between: a volume that has moved is whole, and no overlay."""
    before = guest.hear()
    there = guest.migrate("--to", FILE)
    assert there.status == 0, there
    guest.is_whole_at(FILE)
    guest.live_migrate()
    on_files = guest.unharmed(before)
    guest.is_whole_at(FILE)
    back = guest.migrate("--to", RBD)
    assert back.status == 0, back
    guest.is_whole_at(RBD)
    guest.unharmed(on_files)
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
        old, new = guest.places()[0], guest.other()
        died = guest.interrupted(effect, "--to", new)
        assert died.endswith(effect), (effect, died)
        done = guest.migrate(then or f"--to={new}")
        assert (done.status, guest.places()) == (0, [old if then else new]), (effect, done)
    assert guest.interrupted("blockdev-del", "--to", guest.other())
    late = guest.migrate("--abort")
    assert (late.status, "already, where the instance writes to" in late.stderr) == (1, True), late
    assert guest.migrate().status == 0
    guest.is_whole_at(guest.places()[0])
    guest.unharmed(before)


def test_in_the_middle_ganeti_cannot_take_the_instance_elsewhere(guest: Guest) -> None:
    before = guest.hear()
    place = guest.other()
    assert guest.interrupted("job-complete", "--to", place)
    refused = call(guest.lab.master, ["gnt-instance", "migrate", "-f", INSTANCE], timeout_s=JOB_S)
    assert refused.status != 0
    assert f"volume {guest.volume} is being moved" in refused.stderr
    grown = call(guest.lab.master, ["gnt-instance", "grow-disk", INSTANCE, "1", "64M"], timeout_s=JOB_S)
    assert grown.status != 0
    assert guest.migrate().status == 0
    assert guest.places() == [place]
    guest.unharmed(before)
    for node in guest.lab.ganeti_nodes:  # the other disk, where Ganeti did not come to detaching it
        if node.name != guest.node.name:
            Provider(node, guest.boot_volume).ok("detach")


def test_a_stopped_instance_moves_too_and_starts_with_all_it_wrote(guest: Guest) -> None:
    guest.gnt("shutdown", "--timeout=1")
    old, new = guest.places()[0], guest.other()
    assert guest.interrupted("copy", "--to", new).endswith("copy")
    refused = call(guest.lab.master, ["gnt-instance", "startup", INSTANCE], timeout_s=JOB_S)
    assert "is being moved" in refused.stdout + refused.stderr
    assert guest.migrate("--abort").status == 0
    assert guest.places() == [old]
    moved = guest.migrate("--to", new)
    assert moved.status == 0, moved
    assert guest.places() == [new]
    assert guest.traces() == {}
    guest.gnt("startup")
    guest.unharmed()


def test_a_disk_that_has_moved_can_be_unplugged(guest: Guest) -> None:
    assert guest.migrate("--to", guest.other()).status == 0
    flags = ["--hotplug"] if guest.lab.spec.release is Release.BOOKWORM else []  # later it is the default
    guest.gnt("modify", *flags, "--disk=1:remove")
    assert guest.traces() == {}
    assert guest.places() == []
