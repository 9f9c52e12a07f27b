# SPDX-License-Identifier: BSD-2-Clause
"""The small parts of the helper machine: the port, the disks, file systems, volumes, modules, swap."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from snf_image_helper import devices, filesystems, kernel, lvm, modules, mounting, programs
from snf_image_helper.channel import Channel
from snf_image_helper.filesystems import Device
from snf_image_helper.lines import END, START, WARNING, Line, decode
from snf_image_helper.lvm import Volume
from snf_image_helper.task import TaskError
from snf_image_helper.tasks import add_swap

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """What we read from, and what the helper writes to without waiting."""
    ours, theirs = os.pipe2(os.O_NONBLOCK)
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


def told(fd: int) -> list[Line | None]:
    return [decode(line + b"\n") for line in os.read(fd, 1 << 20).splitlines()]


def test_lines_come_in_order(pipe: Pipe) -> None:
    channel = Channel(pipe[1])
    channel.tell(START, "AddSwap")
    channel.tell(WARNING, "AddSwap", "a\nb")
    assert told(pipe[0]) == [Line(START, "AddSwap", ""), Line(WARNING, "AddSwap", "a b")]


def test_a_port_that_nobody_reads_holds_nothing_up_for_long(pipe: Pipe) -> None:
    full(pipe[1])
    channel = Channel(pipe[1], wait_s=0.05)
    channel.tell(START, "AddSwap")
    os.read(pipe[0], 1 << 20)
    channel.tell(END, "AddSwap")
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)


def full(fd: int) -> None:
    for size in (4096, 1):
        while True:
            try:
                os.write(fd, b"\n" * size)
            except BlockingIOError:
                break


def test_a_port_whose_other_end_is_closed_holds_nothing_up_for_long() -> None:
    ours, theirs = os.pipe2(os.O_NONBLOCK)
    os.close(ours)
    try:
        Channel(theirs, wait_s=0.05).tell(START, "AddSwap")
    finally:
        os.close(theirs)


def test_warnings_leave_room_for_the_end(pipe: Pipe) -> None:
    channel = Channel(pipe[1])
    for _ in range(2000):
        channel.tell(WARNING, "MountImage", "?")
    channel.tell(END, "MountImage")
    lines = told(pipe[0])
    last = Line(WARNING, "MountImage", "too many warnings: no more of them are told")
    assert (len(lines), lines[-2:]) == (501, [last, Line(END, "MountImage", "")])


@pytest.fixture
def sys_folder(tmp_path: Path) -> Path:
    """As the kernel shows two disks and a port."""
    for path, text in {
        "block/vda/serial": "disk1\n",
        "block/vdb/serial": "job\n",
        "block/vdc/serial": "disk0",
        "block/vdc/vdc14/partition": "14\n",
        "block/vdc/vdc1/partition": "1\n",
        "block/loop0/size": "0",
        "class/virtio-ports/vport0p0/name": "other\n",
        "class/virtio-ports/vport0p1/name": "org.ganeti-cloud.snf-image\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="ascii")
    return tmp_path


def test_disks_and_port_are_found_by_their_names(sys_folder: Path) -> None:
    serials = devices.by_serial(str(sys_folder))
    assert serials == {"disk1": "/dev/vda", "job": "/dev/vdb", "disk0": "/dev/vdc"}
    assert devices.job_disk(serials) == "/dev/vdb"
    assert devices.instance_disks(serials, 2) == ["/dev/vdc", "/dev/vda"]
    assert devices.port(str(sys_folder)) == "/dev/vport0p1"
    assert devices.partitions("/dev/vdc", str(sys_folder)) == {1: "/dev/vdc1", 14: "/dev/vdc14"}


@pytest.mark.parametrize(
    ("find", "reason"),
    [
        (lambda: devices.port("/nonexistent", wait_s=0), "there is no port org.ganeti-cloud.snf-image"),
        (lambda: devices.job_disk({"disk0": "/dev/vda"}), "the helper machine was given no job"),
        (lambda: devices.instance_disks({}, 0), "the job is about no disk"),
        (lambda: devices.instance_disks({"disk0": "x"}, 2), "the helper machine was not given disk 1 of 2"),
    ],
)
def test_what_the_node_did_not_give_is_told(find: Callable[[], object], reason: str) -> None:
    with pytest.raises(TaskError) as error:
        find()
    assert str(error.value) == reason


@pytest.mark.host_tools
def test_file_systems_are_known_by_what_is_on_them(tmp_path: Path) -> None:
    ext, swap, empty = (tmp_path / name for name in ("ext", "swap", "empty"))
    for path in (ext, swap, empty):
        with path.open("wb") as stream:
            stream.truncate(8 << 20)
    label = 'a \\ "$b'
    uuid = "0f0d37f4-d7d9-4b0c-b8e9-f58f2f4a7a11"
    programs.run(["mke2fs", "-q", "-t", "ext4", "-L", label, "-U", uuid, str(ext)])
    programs.run(["mkswap", "-L", "LABEL=x\nUUID=y", "--uuid", uuid, str(swap)])
    found = filesystems.probe(programs.run, [str(empty), str(ext), str(swap)])
    assert found[0] == Device(str(ext), "ext4", uuid, label)
    # A line in a label is no line of blkid's.
    assert [(each.filesystem, each.uuid) for each in found] == [("ext4", uuid), ("swap", uuid)]
    assert filesystems.probe(programs.run, [str(empty)]) == ()


def test_no_device_is_all_devices_to_blkid() -> None:
    assert filesystems.probe(programs.run, []) == ()


def test_volumes_lie_on_devices() -> None:
    text = """{"report": [{"lv": [
        {"vg_name":"a","lv_name":"root","lv_dm_path":"/dev/mapper/a-root","devices":"/dev/vda2(0)"},
        {"vg_name":"a","lv_name":"root","lv_dm_path":"/dev/mapper/a-root","devices":"/dev/vdb(7),/dev/vda2(99)"},
        {"vg_name":"a","lv_name":"b","lv_dm_path":"/dev/mapper/a-b","devices":""}]}]}"""
    assert lvm.parse(text) == (
        Volume("a", "root", "/dev/mapper/a-root", ("/dev/vda2", "/dev/vdb")),
        Volume("a", "b", "/dev/mapper/a-b", ()),
    )


@pytest.mark.parametrize("text", ["", "{}", '{"report": []}', '{"report": [{"lv": [{"vg_name": "a"}]}]}'])
def test_what_are_no_volumes_is_told(text: str) -> None:
    with pytest.raises(TaskError, match="lvs did not understand the volume groups"):
        lvm.parse(text)


def test_modules_are_loaded_once_and_in_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    monkeypatch.setattr(kernel, "load_module", loaded.append)
    monkeypatch.setattr(modules, "_loaded", set())
    (tmp_path / "fuse.list").write_text("crc.ko\nfuse.ko\n", encoding="ascii")
    (tmp_path / "xfs.list").write_text("crc.ko\nxfs.ko\n", encoding="ascii")
    for name in ("ntfs", "xfs", "xfs", "ext4"):
        modules.load_for(name, str(tmp_path))
    assert [os.path.basename(path) for path in loaded] == ["crc.ko", "fuse.ko", "xfs.ko"]


@pytest.mark.parametrize("table", ["", "UUID=1 / ext4 defaults 0 1\n", "UUID=1 / ext4 defaults 0 1"])
def test_swap_gets_a_line_of_its_own(table: str) -> None:
    lines = add_swap.appended(table, "77").splitlines()
    assert (lines[:-1], lines[-1]) == (table.splitlines(), "UUID=77 none swap sw 0 0")


def test_what_was_written_is_checked(tmp_path: Path) -> None:
    mounting.check_written(str(tmp_path))
    with pytest.raises(TaskError, match="^not all of it could be written: No such file or directory$"):
        mounting.check_written(str(tmp_path / "gone"))
    kernel.mount("tmpfs", str(tmp_path), "tmpfs", kernel.UNTRUSTED | kernel.RDONLY, "size=4k")
    try:
        with pytest.raises(TaskError, match="^not all of it could be written: a file system of the guest is damaged$"):
            mounting.check_written(str(tmp_path))
    finally:
        mounting.unmount(str(tmp_path))
    assert not os.path.ismount(tmp_path)
