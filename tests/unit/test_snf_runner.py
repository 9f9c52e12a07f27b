# SPDX-License-Identifier: BSD-2-Clause
"""A run of the helper machine: where it looks for a system, which tasks it does, and how it tells that it failed."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from snf_image_helper import detect, lines, mounting, plan
from snf_image_helper.channel import Channel
from snf_image_helper.detect import Candidate
from snf_image_helper.filesystems import Device
from snf_image_helper.job import NOTHING, Job, PersonalityFile
from snf_image_helper.lines import Line, decode
from snf_image_helper.lvm import Volume
from snf_image_helper.partitions import GPT, MBR, Partition, Table
from snf_image_helper.runner import Runner, reason
from snf_image_helper.task import FREEBSD, LINUX, OPENBSD, WINDOWS, TaskError, Work
from snf_image_helper.tasks import mount_image

JOB = NOTHING._replace(hostname="vm1", disks=1)
ALWAYS = [
    "AssignHostname",
    "ChangeMachineId",
    "ChangePassword",
    "ConfigureNetwork",
    "DeleteSSHKeys",
    "SELinuxAutorelabel",
]
SOMETIMES = ["AddSwap", "EnforcePersonality", "RunCustomTask", "InitializeDatasource"]


def nothing(argv: Sequence[str], *, stdin: bytes = b"", allowed: Sequence[int] = (0,), timeout_s: float = 60.0) -> str:
    """A machine with empty disks."""
    return ""


def work(family: str = LINUX, **changes: object) -> tuple[Work, list[str]]:
    warnings: list[str] = []
    made = Work(JOB._replace(os_family=family, **changes), ["/dev/vda"], nothing, warnings.append)  # type: ignore[arg-type]
    return made, warnings


def names(given: Work) -> list[str]:
    return [step.name for step in plan.steps(given) if not step.idle(given)]


def test_the_tasks_of_linux() -> None:
    assert names(work()[0]) == [
        "FixPartitionTable",
        "FilesystemResizeUnmounted",
        "MountImage",
        *ALWAYS,
        "UmountImage",
    ]


def test_the_tasks_that_are_there_for_a_reason() -> None:
    file = PersonalityFile("/x", b"", "root", "root", 0o440)
    given, _ = work(personality=(file,), custom_task="true", properties={"SWAP": "b"})
    given.cloud_init, given.filesystem = True, "xfs"
    assert set(names(given)) - set(names(work()[0])) == {
        "FilesystemResizeMounted",
        "AddSwap",
        "EnforcePersonality",
        "RunCustomTask",
        "InitializeDatasource",
    }


def test_the_tasks_of_windows() -> None:
    assert names(work(WINDOWS)[0]) == [
        "FixPartitionTable",
        "FilesystemResizeUnmounted",
        "MountImage",
        "InstallUnattend",
        "AssignHostname",
        "ChangePassword",
        "ConfigureNetwork",
        "DisableRemoteDesktopConnections",
        "UmountImage",
        "FilesystemResizeAfterUmount",
    ]


@pytest.mark.parametrize(
    ("changes", "left_out"),
    [
        ({"excluded": ("AssignHostname", "deletesshkeys")}, {"AssignHostname", "DeleteSSHKeys"}),
        (
            {"properties": {"EXCLUDE_FILESYSTEMRESIZE_TASKS": "yes"}},
            {"FilesystemResizeUnmounted", "FilesystemResizeMounted"},
        ),
        (
            {"properties": {"EXCLUDE_MOUNTED_TASKS": "on"}},
            {"MountImage", "FilesystemResizeMounted", "UmountImage", *ALWAYS, *SOMETIMES},
        ),
        ({"properties": {"EXCLUDE_MOUNTED_TASKS": "no"}}, set()),
    ],
)
def test_tasks_can_be_left_out(changes: dict[str, object], left_out: set[str]) -> None:
    all_of_them = {step.name for step in plan.steps(work()[0])}
    assert all_of_them - {step.name for step in plan.steps(work(**changes)[0])} == left_out  # type: ignore[arg-type]


def test_some_tasks_cannot_be_left_out() -> None:
    given, warnings = work(excluded=("MountImage", "Nonsense"))
    assert "MountImage" in names(given)
    assert warnings == ["mountimage is no task that can be left out", "nonsense is no task that can be left out"]


def test_a_property_that_makes_no_sense_is_told() -> None:
    with pytest.raises(TaskError, match="EXCLUDE_MOUNTED_TASKS='maybe': write yes or no"):
        plan.steps(work(properties={"EXCLUDE_MOUNTED_TASKS": "maybe"})[0])


ROOT = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
DATA = "0fc63daf-8483-4772-8e79-3d69d8477de4"
PARTS = {1: "/dev/vda1", 2: "/dev/vda2", 3: "/dev/vda3", 4: "/dev/vda4"}
ON = {
    number: Device(path, kind)
    for (number, path), kind in zip(PARTS.items(), ("ext4", "vfat", "ntfs", "xfs"), strict=True)
}
TABLE = Table(
    GPT, (Partition(1, 0, 1, DATA), Partition(2, 1, 1, DATA), Partition(3, 2, 1, DATA), Partition(4, 3, 1, ROOT))
)
VOLUME = Volume("vg", "root", "/dev/mapper/vg-root", ("/dev/vda2",))
SPREAD = Volume("vg", "wide", "/dev/mapper/vg-wide", ("/dev/vda2", "/dev/vdb"))
ON_VOLUMES = [Device(VOLUME.path, "ext4"), Device(SPREAD.path, "btrfs")]


def test_a_partition_of_the_type_root_is_looked_at_first() -> None:
    found = detect.candidates(TABLE, PARTS, list(ON.values()), "/dev/vda", ())
    assert found == [Candidate(ON[4], 4), Candidate(ON[1], 1), Candidate(ON[3], 3)]


def test_volumes_are_looked_at_last() -> None:
    found = detect.candidates(TABLE, PARTS, [ON[1], *ON_VOLUMES], "/dev/vda", (VOLUME, SPREAD))
    assert found == [
        Candidate(ON[1], 1),
        Candidate(ON_VOLUMES[0], 2, VOLUME),
        Candidate(ON_VOLUMES[1], 0, SPREAD),
    ]
    assert [each.shown for each in found] == ["partition 1", "volume vg/root", "volume vg/wide"]


def test_a_disk_without_a_table_is_looked_at_itself() -> None:
    disk = Device("/dev/vda", "ext4")
    assert detect.candidates(None, {}, [disk, Device("/dev/vdb", "ext4")], "/dev/vda", ()) == [Candidate(disk, 0)]
    assert detect.candidates(None, {}, [], "/dev/vda", ()) == []


@pytest.mark.parametrize(
    ("table", "number", "wanted"),
    [
        (Table(MBR, (Partition(1, 0, 1, "83"), Partition(2, 1, 1, "a6"))), 0, (OPENBSD, 2)),
        (Table(GPT, (Partition(3, 0, 1, "516e7cb6-6ecf-11d6-8ff8-00022d09712b"),)), 3, (FREEBSD, 3)),
        (Table(MBR, (Partition(1, 0, 1, "83"), Partition(2, 1, 1, "a6"))), 1, None),
        (TABLE, 0, None),
        (None, 0, None),
    ],
)
def test_bsd_is_known_by_the_type_of_its_partition(
    table: Table | None, number: int, wanted: tuple[str, int] | None
) -> None:
    assert detect._bsd(table, number) == wanted


def test_what_cannot_be_written_is_told() -> None:
    with pytest.raises(
        TaskError, match="^this machine cannot write the file systems of freebsd: .*EXCLUDE_MOUNTED_TASKS"
    ):
        mount_image.run(work(FREEBSD)[0])


def told(job: Job) -> list[Line | None]:
    """What a run on an empty disk tells."""
    ours, theirs = os.pipe2(os.O_NONBLOCK)
    try:
        Runner(Channel(theirs), nothing).deploy(job, ["/dev/vda"])
        return [decode(line + b"\n") for line in os.read(ours, 1 << 16).splitlines()]
    finally:
        os.close(ours)
        os.close(theirs)


def test_an_empty_disk_is_told() -> None:
    text = (
        "the disk has no file system, or its partition table is damaged; no root was found:"
        " if there is one, name it by the properties OSFAMILY and ROOT_PARTITION"
    )
    assert told(JOB) == [Line(lines.START, "DetectSystem", ""), Line(lines.ERROR, "DetectSystem", text)]


def test_a_family_that_is_not_there_is_told() -> None:
    assert told(JOB._replace(os_family=FREEBSD))[-1] == Line(
        lines.ERROR, "DetectSystem", "the disk has no partition of freebsd"
    )


def test_reasons_are_for_people() -> None:
    assert reason(TaskError("so it is")) == "so it is"
    assert reason(OSError(28, "No space left on device", "/etc/hostname")) == "/etc/hostname: No space left on device"
    assert reason(OSError(5, "Input/output error", "/run/guest/etc")) == "/etc: Input/output error"
    assert reason(OSError(5, "Input/output error")) == "Input/output error"


def test_a_fault_is_told_by_its_place_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise ValueError("hunter2")
    except ValueError as error:
        text = reason(error)
    assert text.startswith("a fault of the helper machine: ValueError in test_snf_runner.py, line ")
    assert "hunter2" not in text + "".join(capsys.readouterr())


def test_an_ntfs_that_cannot_be_mounted_is_told_in_our_words() -> None:
    def refuse(
        argv: Sequence[str], *, stdin: bytes = b"", allowed: Sequence[int] = (0,), timeout_s: float = 60.0
    ) -> str:
        raise TaskError("lowntfs-3g: Or the other way around? (exit status 12)")

    with pytest.raises(TaskError) as error:
        mounting.mount(refuse, Device("/dev/vda1", "ntfs"), "/nonexistent")
    text = "/dev/vda1: ntfs cannot be mounted: it is damaged, or Windows was not shut down in full"
    assert str(error.value) == text
