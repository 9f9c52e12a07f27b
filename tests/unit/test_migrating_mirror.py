# SPDX-License-Identifier: BSD-2-Clause
"""What QEMU says of a mirror job and of disks. The messages were captured from QEMU 10.0 and 7.2."""

from __future__ import annotations

import pytest

from archipelago.migrating.mirror import Drive, State, drive_of, state
from archipelago.migrating.steps import Job

NAME = "move-0123abcd"


def job(status: str, done: int = 512, **more: str) -> dict[str, object]:
    return {"id": NAME, "type": "mirror", "status": status, "current-progress": done, "total-progress": 1024, **more}


def block_job(*, ready: bool, **more: bool) -> dict[str, object]:
    return {"device": NAME, "type": "mirror", "len": 1024, "offset": 512, "ready": ready, **more}


@pytest.mark.parametrize(
    ("jobs", "block_jobs", "expected"),
    [
        ([], [], State(Job.NONE, 0.0, "")),
        ([{**job("running"), "id": "another"}], [], State(Job.NONE, 0.0, "")),
        ([job("running")], [block_job(ready=False)], State(Job.COPYING, 50.0, "")),
        ([job("ready", 1024)], [block_job(ready=True, **{"actively-synced": False})], State(Job.READY, 100.0, "")),
        ([job("ready", 1024)], [block_job(ready=True, **{"actively-synced": True})], State(Job.SYNCED, 100.0, "")),
        ([job("ready", 1024)], [block_job(ready=True)], State(Job.SYNCED, 100.0, "")),
        ([job("concluded", 1024)], [], State(Job.NONE, 100.0, "")),
        ([job("concluded", error="Input/output error")], [], State(Job.FAILED, 100.0, "Input/output error")),
    ],
    ids=["none", "another's", "copying", "ready", "synced", "synced before 8.2", "over", "failed"],
)
def test_the_state_of_a_job(
    jobs: list[dict[str, object]], block_jobs: list[dict[str, object]], expected: State
) -> None:
    assert state(jobs, block_jobs, NAME) == expected


LINK = "/var/run/ganeti/instance-disks/inst1.lab.test:1"
DEVICE = "disk-4989d312-792f-461e"
QDEV = f"/machine/peripheral/{DEVICE}/virtio-backend"


def block(node: str, file: str, *, device: str = "", qdev: str = QDEV) -> dict[str, object]:
    return {"device": device, "qdev": qdev, "inserted": {"node-name": node, "file": file, "drv": "raw"}}


OTHERS = [
    {"device": "ide1-cd0", "qdev": "/machine/unattached/device[4]", "removable": True},
    block(
        "disk-7a0a429f-224f-4904", f"{LINK[:-1]}0", qdev="/machine/peripheral/disk-7a0a429f-224f-4904/virtio-backend"
    ),
]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (block(DEVICE, LINK), Drive(DEVICE, LINK, QDEV, named=False)),
        (block("#block184", LINK, device=DEVICE), Drive("#block184", LINK, QDEV, named=True)),
        (block(NAME, "/dev/loop9"), Drive(NAME, "/dev/loop9", QDEV, named=False)),
        (
            block("#block1", LINK, device="ide0-hd1", qdev="/machine/unattached/device[6]"),
            Drive("#block1", LINK, "/machine/unattached/device[6]", named=True),
        ),
        (
            block(f"{NAME}-file", "/dev/loop9", device="ide0-hd1", qdev="/machine/unattached/device[6]"),
            Drive(f"{NAME}-file", "/dev/loop9", "/machine/unattached/device[6]", named=True),
        ),
    ],
    ids=["Ganeti 3.1", "Ganeti 3.0", "gone over", "IDE", "IDE that has moved"],
)
def test_the_disk_is_found_before_and_after_it_moved(found: dict[str, object], expected: Drive) -> None:
    nodes, files = (NAME, f"{NAME}-file"), (LINK, "/dev/loop4", "/dev/loop9")
    assert drive_of([*OTHERS, found], DEVICE, nodes, files) == expected
    assert drive_of(OTHERS, DEVICE, nodes, files) is None


def test_a_disk_without_a_name_of_ganeti_is_not_taken_for_any_other() -> None:
    assert (
        drive_of([block("#block9", "/dev/sda", qdev="/machine/unattached/device[1]")], "", (NAME,), (LINK, None))
        is None
    )
