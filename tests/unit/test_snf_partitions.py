# SPDX-License-Identifier: BSD-2-Clause
"""What becomes of a partition table on a disk that is larger than its image, and that sfdisk does it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from snf_image_helper import partitions, programs
from snf_image_helper.partitions import GPT, MBR, Change, Fix, Partition, Swap, Table
from snf_image_helper.task import TaskError

MIB = 2048
DISK = 10240 * MIB
END = DISK - 2048
ROOT = "4f68bce3-e8cd-4db1-96e7-fbcaf984b709"
SWAP = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
LAST = "partition 1 is not the last one of the disk: it keeps its size"

CLOUD = Table(GPT, (Partition(1, 4096, 100 * MIB, ROOT), Partition(14, 2048, 2048, "bios")))
ROOT_FIRST = Table(GPT, (Partition(1, 2048, 100 * MIB, ROOT), Partition(2, 200 * MIB, MIB, "other")))
FULL = Table(GPT, (Partition(1, 2048, END - 2048, ROOT),))
TOO_LONG = Table(GPT, (Partition(1, 2048, END + 1000, ROOT),))
PRIMARY = Table(MBR, (Partition(1, 2048, 100 * MIB, "83"),))
LOGICAL = Table(
    MBR,
    (
        Partition(1, 2048, MIB, "83"),
        Partition(2, 2 * MIB, 98 * MIB, "5"),
        Partition(5, 3 * MIB, 7 * MIB, "82"),
        Partition(6, 12 * MIB, 88 * MIB, "83"),
    ),
)
NO_LOGICAL = Table(MBR, LOGICAL.partitions[:2])
EXTENDED = Change(2, 2 * MIB, END - 2 * MIB, "5", new=False)


def grown(number: int, start: int, end: int, kind: str = ROOT) -> Change:
    return Change(number, start, end - start, kind, new=False)


def swap(number: int, mib: int, kind: str = "82") -> Change:
    return Change(number, END - mib * MIB, mib * MIB, kind, new=True)


@pytest.mark.parametrize(
    ("table", "root", "wish", "wanted"),
    [
        (CLOUD, 1, None, Fix((grown(1, 4096, END),), ())),
        (CLOUD, 1, Swap(2, 512), Fix((grown(1, 4096, END - 512 * MIB), swap(2, 512, SWAP)), ())),
        (CLOUD, 14, None, Fix((), ("partition 14 is not the last one of the disk: it keeps its size",))),
        (ROOT_FIRST, 1, None, Fix((), (LAST,))),
        (ROOT_FIRST, 1, Swap(7, 10), Fix((swap(7, 10, SWAP),), (LAST,))),
        (FULL, 1, None, Fix((), ())),
        (TOO_LONG, 1, None, Fix((), ())),
        (PRIMARY, 1, None, Fix((grown(1, 2048, END, "83"),), ())),
        (PRIMARY, 1, Swap(2, 1), Fix((grown(1, 2048, END - MIB, "83"), swap(2, 1)), ())),
        (LOGICAL, 6, None, Fix((EXTENDED, grown(6, 12 * MIB, END, "83")), ())),
        (LOGICAL, 6, Swap(7, 10), Fix((EXTENDED, grown(6, 12 * MIB, END - 11 * MIB, "83"), swap(7, 10)), ())),
        (LOGICAL, 1, None, Fix((), (LAST,))),
        (NO_LOGICAL, 1, Swap(5, 10), Fix((EXTENDED, swap(5, 10)), (LAST,))),
        (NO_LOGICAL, 2, None, Fix((), ("partition 2 is not the last one of the disk: it keeps its size",))),
    ],
    ids=(
        "gpt gpt-swap gpt-root-not-last gpt-root-first gpt-root-first-swap full beyond-the-end"
        " primary primary-swap logical logical-swap primary-before-logical first-logical extended-is-no-root"
    ).split(),
)  # fmt: skip
def test_only_the_last_partition_grows(table: Table, root: int, wish: Swap | None, wanted: Fix) -> None:
    assert partitions.fix(table, DISK, root, wish) == wanted


def test_an_mbr_ends_at_2_tib() -> None:
    fix = partitions.fix(PRIMARY, 3 << 32, 1, None)
    assert fix.changes[0].start + fix.changes[0].size == (1 << 32) - 2048
    assert fix.warnings == ("a table of the kind MBR ends at 2 TiB: the rest of the disk stays unused",)


@pytest.mark.parametrize(
    ("table", "root", "wish", "reason"),
    [
        (Table(GPT, ()), 1, None, "the partition table is empty"),
        (CLOUD, 3, None, "there is no partition 3"),
        (CLOUD, 1, Swap(14, 10), "SWAP=14:10: there is a partition 14 already"),
        (CLOUD, 1, Swap(2, 99999), "SWAP=2:99999: the disk has no room for it"),
        (FULL, 1, Swap(2, 1), "SWAP=2:1: the disk has no room for it"),
        (PRIMARY, 1, Swap(5, 1), "SWAP=5:1: the disk ends with primary partitions: take a number of theirs"),
        (LOGICAL, 6, Swap(3, 1), "SWAP=3:1: the disk ends with logical partitions: take a number of theirs"),
        (LOGICAL, 6, Swap(9, 1), "SWAP=9:1: the next number is 7"),
    ],
)
def test_what_cannot_be_is_told(table: Table, root: int, wish: Swap | None, reason: str) -> None:
    with pytest.raises(TaskError) as error:
        partitions.fix(table, DISK, root, wish)
    assert str(error.value) == reason


@pytest.mark.parametrize(
    ("text", "wanted"), [("", None), ("b", None), ("2:512", Swap(2, 512)), ("128:1", Swap(128, 1))]
)
def test_the_property_swap(text: str, wanted: Swap | None) -> None:
    assert partitions.swap_wanted(text) == wanted


@pytest.mark.parametrize(
    "text", ["2:", ":", "0:1", "1:0", "129:1", "-1:5", "2:1e3", "2:512:1", "\u0662:5x", "2:4294967296"]
)
def test_a_swap_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(TaskError, match="write <number of a partition>:<MiB>, or the letter of a disk"):
        partitions.swap_wanted(text)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"partitiontable": {"label": "gpt", "partitions": [{"node": "x"}]}}']
)
def test_what_is_no_table_is_told(text: str) -> None:
    with pytest.raises(TaskError, match="sfdisk did not understand the partition table"):
        partitions.parse(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"partitiontable": {"label": "sun"}}', "a partition table of the kind 'sun'; GPT and MBR are supported"),
        ('{"partitiontable": {"label": "gpt", "sectorsize": 4096}}', "the disk has sectors of other than 512 bytes"),
    ],
)
def test_tables_that_are_not_served(text: str, reason: str) -> None:
    with pytest.raises(TaskError, match=reason):
        partitions.parse(text)


GPT_SCRIPT = (
    "label: gpt\n"
    'start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, name="a b=ü"\n'
    f"start=4096, size=204800, type={ROOT}\n"
)
MBR_SCRIPT = "label: dos\nstart=2048, size=20480, type=83, bootable\n"
LOGICAL_SCRIPT = (
    "label: dos\nstart=2048, size=2048, type=83\nstart=4096, size=100000, type=5\n"
    "start=6144, size=2048, type=82\nstart=10240, size=40960, type=83\n"
)


@pytest.mark.host_tools
@pytest.mark.parametrize(
    ("script", "root", "wish", "sizes"),
    [
        (GPT_SCRIPT, 2, None, {1: 2048, 2: 1042432}),
        (GPT_SCRIPT, 2, Swap(9, 100), {1: 2048, 2: 837632, 9: 204800}),
        (GPT_SCRIPT, 1, None, {1: 2048, 2: 204800}),
        (MBR_SCRIPT, 1, None, {1: 1044480}),
        (MBR_SCRIPT, 1, Swap(3, 100), {1: 839680, 3: 204800}),
        (LOGICAL_SCRIPT, 6, None, {1: 2048, 2: 1042432, 5: 2048, 6: 1036288}),
        (LOGICAL_SCRIPT, 6, Swap(7, 100), {1: 2048, 2: 1042432, 5: 2048, 6: 829440, 7: 204800}),
    ],
    ids="gpt gpt-swap gpt-nothing-grows mbr mbr-swap logical logical-swap".split(),
)
def test_sfdisk_does_it(tmp_path: Path, script: str, root: int, wish: Swap | None, sizes: dict[int, int]) -> None:
    disk = tmp_path / "disk"
    made(disk, script)
    before = table(disk)
    for change in partitions.fix(before, 512 * MIB, root, wish).changes:
        argv, text = partitions.command(str(disk), change)
        programs.run(argv, stdin=text)
    if not partitions.fix(before, 512 * MIB, root, wish).changes:
        programs.run(partitions.relocation(str(disk)))
    after = table(disk)
    assert {each.number: each.size for each in after.partitions} == sizes
    assert starts(after, [each.number for each in before.partitions]) == starts(before, sizes)
    assert "No errors detected" in programs.run(["sfdisk", "--verify", str(disk)])


def made(disk: Path, script: str) -> None:
    """A disk of 128 MiB with a table, grown to 512 MiB."""
    with disk.open("wb") as stream:
        stream.truncate(128 << 20)
    programs.run(["sfdisk", "--quiet", str(disk)], stdin=script.encode())
    with disk.open("r+b") as stream:
        stream.truncate(512 << 20)


def table(disk: Path) -> Table:
    return partitions.parse(programs.run(["sfdisk", "--json", str(disk)]))


def starts(table: Table, numbers: Sequence[int] | dict[int, int]) -> list[tuple[int, int, str]]:
    return [(each.number, each.start, each.kind) for each in table.partitions if each.number in numbers]
