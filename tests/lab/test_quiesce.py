# SPDX-License-Identifier: BSD-2-Clause
"""Snapshots of a disk whose file system stands still meanwhile, by a real guest agent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ganeti_cloud.process import run
from lab.console import guest_report
from lab.golden import golden
from lab.lab import Lab
from lab.node import Node
from lab.spec import STORE
from lab.timeline import Timeline
from tests.lab.support import Result, call, imported, volumes_of

pytestmark = pytest.mark.lab

JOB_S = 300.0
INSTANCE = "inst6.lab.test"
AGENT = f"/run/ganeti/kvm-hypervisor/ctrl/{INSTANCE}.qga"
SIZE = 32 << 20

# ext4's superblock: features that whoever mounts it must know; this one says that the journal is still to be read.
INCOMPATIBLE_AT = 1024 + 0x60
NEEDS_RECOVERY = 0x4

STATUS = f"""
from ganeti_cloud import qmp
with qmp.agent({AGENT!r}) as agent:
    print(agent.execute("guest-fsfreeze-status"))
"""
DIES_FROZEN = """
import os, signal, sys
from archipelago.quiescing import Quiesce, quiesced
with quiesced(sys.argv[1], Quiesce.MUST):
    print("frozen", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
TAKES_TOO_LONG = """
import sys, time
from archipelago import quiescing
quiescing.LIMIT_S = 1.0
with quiescing.quiesced(sys.argv[1], quiescing.Quiesce(sys.argv[2])) as state:
    print(state.frozen, flush=True)
    time.sleep(2)
print(state.frozen)
"""


@dataclass
class Guest:
    """An instance whose guest writes files to the file system on its second disk."""

    lab: Lab
    node: Node
    volume: str

    def snapshot(self, name: str, quiesce: str) -> Result:
        argv = ["archipelago", "volume", "snapshot", "--json", "--quiesce", quiesce, self.volume, name]
        return call(self.node, argv)

    def needs_recovery(self, snapshot: str) -> bool:
        """Whether the file system in *snapshot* is one that was cut off in the middle."""
        path = f"/srv/shared/{snapshot}.raw"
        self.lab.node(STORE).run(
            ["rbd", "export", "--no-progress", f"{self.volume}@{snapshot}", f"/var/tmp/{snapshot}"], timeout_s=60
        )
        content = (self.lab.node(STORE).root / "var/tmp" / Path(path).stem).read_bytes()
        features = int.from_bytes(content[INCOMPATIBLE_AT : INCOMPATIBLE_AT + 4], "little")
        return bool(features & NEEDS_RECOVERY)

    def python(self, script: str, *arguments: str) -> Result:
        return call(self.node, ["/usr/bin/python3", "-c", script, *arguments])

    def status(self) -> str:
        return self.python(STATUS).stdout.strip()


@pytest.fixture(scope="module")
def guest(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    disk = tmp_path_factory.mktemp("disk") / "ext4.raw"
    disk.touch()
    with disk.open("r+b") as stream:
        stream.truncate(SIZE)
    run(["mkfs.ext4", "-q", "-F", str(disk)], timeout_s=60)
    with (
        imported(lab, "quiet-boot", golden(lab.spec.release, Timeline()).path),
        imported(lab, "quiet-disk", disk),
    ):
        node = lab.node(2)
        argv = ["gnt-instance", "add", "-t", "ext", "-o", "noop", "-n", node.hostname, "--net=0:link=br-lan"]
        argv += ["-H", "kvm:use_guest_agent=True", "--disk", "0:size=64M,provider=archipelago,origin=quiet-boot"]
        lab.master.run(
            [*argv, "--disk", "1:size=32M,provider=archipelago,origin=quiet-disk", INSTANCE], timeout_s=JOB_S
        )
        _, volume = volumes_of(lab, INSTANCE)
        guest_report(node, INSTANCE, timeout_s=240)
        yield Guest(lab, node, volume)
        for name in ("powercut", "quiet", "agentless"):
            node.run(["archipelago", "snapshot", "remove", f"{volume}@{name}"], timeout_s=60)
        lab.master.run(["gnt-instance", "remove", "-f", "--shutdown-timeout=1", INSTANCE], timeout_s=JOB_S)


def test_only_a_quiesced_snapshot_needs_no_recovery(guest: Guest) -> None:
    taken = guest.snapshot("quiet", "must")
    assert taken.status == 0, taken
    assert json.loads(taken.stdout)["quiesced"] is True
    assert guest.status() == "thawed"
    cut = guest.snapshot("powercut", "no")
    assert json.loads(cut.stdout)["quiesced"] is False
    assert (guest.needs_recovery("quiet"), guest.needs_recovery("powercut")) == (False, True)


def test_a_guest_is_thawed_when_the_program_dies(guest: Guest) -> None:
    done = guest.python(DIES_FROZEN, guest.volume)
    assert (done.status, done.stdout) == (-9, "frozen\n")
    assert guest.status() == "thawed"


def test_a_guest_is_thawed_when_the_time_is_over(guest: Guest) -> None:
    assert guest.python(TAKES_TOO_LONG, guest.volume, "auto").stdout.split() == ["True", "False"]
    late = guest.python(TAKES_TOO_LONG, guest.volume, "must")
    assert late.status == 1
    assert "is not quiesced" in late.stderr
    assert guest.status() == "thawed"


def test_from_another_node_a_snapshot_is_what_a_power_cut_leaves(guest: Guest) -> None:
    argv = ["archipelago", "volume", "snapshot", guest.volume]
    taken = call(guest.lab.node(3), [*argv, "agentless"])
    assert (taken.status, taken.stderr) == (0, "not quiesced: no instance of this node runs on it\n")
    refused = call(guest.lab.node(3), [*argv, "--quiesce", "must"])
    assert refused.status == 1
    assert f"error: a snapshot of volume {guest.volume} cannot be quiesced" in refused.stderr
