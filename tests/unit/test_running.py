# SPDX-License-Identifier: BSD-2-Clause
"""Which instance runs on a volume, by Ganeti's files. A runtime file is as Ganeti 3.1 writes it, cut short."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from archipelago import running
from archipelago.running import Running
from ganeti_cloud.errors import StorageError
from tests.unit.settings import VOLUME

INSTANCE = "inst1.lab.test"
PID = 4711


def disk(volume: str, number: int, **params: str) -> list[object]:
    return [
        {
            "dev_type": "ext",
            "logical_id": ["archipelago", volume],
            "params": {"provider": "archipelago", **params},
            "hvinfo": {"driver": "virtio-blk-pci", "id": f"disk-{number}", "bus": "pci.0", "addr": "0xc"},
            "uuid": "7a0a429f-224f-4904-92bd-d1eba51e1621",
        },
        f"/var/run/ganeti/instance-disks/{INSTANCE}:{number}",
        None,
    ]


@pytest.fixture
def ganeti(tmp_path: Path) -> Path:
    """/var/run/ganeti and /proc, with one instance that runs on a disk of another volume and on VOLUME."""
    kvm = tmp_path / "kvm-hypervisor"
    for name in ("conf", "pid"):
        (kvm / name).mkdir(parents=True)
    disks = [disk("other.ext.disk0", 0), disk(VOLUME, 1, access="kernelspace")]
    hypervisor = {"use_guest_agent": True, "disk_discard": "ignore", "disk_aio": "native"}
    runtime = [["/usr/bin/kvm", "-name", INSTANCE], [], hypervisor, disks]
    (kvm / "conf" / f"{INSTANCE}.runtime").write_text(json.dumps(runtime), encoding="utf-8")
    (kvm / "conf" / "notes.txt").write_text("nothing of Ganeti's", encoding="utf-8")
    (kvm / "pid" / INSTANCE).write_text(f"{PID}\n", encoding="utf-8")
    process = tmp_path / "proc" / str(PID)
    (process / "fd").mkdir(parents=True)
    (process / "cmdline").write_bytes(b"\0".join([b"/usr/bin/kvm", b"-name", INSTANCE.encode(), b""]))
    (process / "fd" / "3").symlink_to("/dev/loop4")
    (process / "fd" / "4").symlink_to("socket:[1]")
    return tmp_path


def find(ganeti: Path, volume: str = VOLUME) -> Running | None:
    return running.find(volume, str(ganeti), str(ganeti / "proc"))


def test_the_instance_of_a_volume_is_found_with_its_disk(ganeti: Path) -> None:
    assert find(ganeti) == Running(
        instance=INSTANCE,
        number=1,
        pid=PID,
        device="disk-1",
        access="kernelspace",
        link=f"/var/run/ganeti/instance-disks/{INSTANCE}:1",
        discard="ignore",
        aio="native",
        monitor=f"{ganeti}/kvm-hypervisor/ctrl/{INSTANCE}.qmp",
        agent=f"{ganeti}/kvm-hypervisor/ctrl/{INSTANCE}.qga",
    )
    assert find(ganeti, "nobody.ext.disk0") is None


def test_what_died_does_not_run(ganeti: Path) -> None:
    (ganeti / "proc" / str(PID) / "cmdline").write_bytes(b"another\0")
    assert find(ganeti) is None
    (ganeti / "kvm-hypervisor/pid" / INSTANCE).unlink()
    assert find(ganeti) is None


def test_a_runtime_file_of_another_kind_is_an_error(ganeti: Path) -> None:
    path = ganeti / "kvm-hypervisor/conf" / f"{INSTANCE}.runtime"
    path.write_text('{"version": 9}', encoding="utf-8")
    with pytest.raises(StorageError) as caught:
        find(ganeti)
    assert str(caught.value).startswith(f"{path} cannot be understood: ")


def test_the_devices_that_a_process_has_open(ganeti: Path) -> None:
    assert running.opened_devices(PID, str(ganeti / "proc")) == {"/dev/loop4"}
    assert running.opened_devices(os.getpid() + 1, str(ganeti / "none")) == set()
