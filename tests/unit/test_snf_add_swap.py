# SPDX-License-Identifier: BSD-2-Clause
"""Swap: where it may be, and that the guest is told of it once."""

from __future__ import annotations

from pathlib import Path

import pytest

from snf_image_helper import programs
from snf_image_helper.partitions import GPT, Table
from snf_image_helper.root import Root
from snf_image_helper.task import LINUX, TaskError, Work
from snf_image_helper.tasks import add_swap
from tests.unit.test_snf_runner import JOB

pytestmark = pytest.mark.host_tools

MIB = 1 << 20
HOW = "write <number of a partition>:<MiB>, or the letter of a disk"


def work(tmp_path: Path, swap: str, disks: int = 2) -> Work:
    """A guest with empty disks."""
    paths = [tmp_path / f"disk{number}" for number in range(disks)]
    for path in paths:
        with path.open("wb") as stream:
            stream.truncate(8 * MIB)
    (tmp_path / "root/etc").mkdir(parents=True)
    made = Work(JOB._replace(properties={"SWAP": swap}), [str(path) for path in paths], programs.run, lambda text: None)
    made.family, made.table = LINUX, Table(GPT, ())
    made.mounted(Root(str(tmp_path / "root")))
    return made


@pytest.mark.parametrize(
    ("swap", "reason"),
    [
        ("c", "SWAP=c: the instance has 2 disks, and the first is not for swap"),
        ("a", "SWAP=a: the instance has 2 disks, and the first is not for swap"),
        ("bb", f"SWAP=bb: {HOW}"),
        ("1", f"SWAP=1: {HOW}"),
        ("3:512", "SWAP=3:512: there is no partition 3, and FixPartitionTable was left out"),
    ],
)
def test_where_swap_cannot_be(tmp_path: Path, swap: str, reason: str) -> None:
    with pytest.raises(TaskError) as error:
        add_swap.run(work(tmp_path, swap))
    assert str(error.value) == reason


@pytest.mark.parametrize(
    ("argv", "stdin", "what"),
    [
        (["mke2fs", "-q", "-t", "ext4"], b"", "ext4"),
        (["sfdisk", "--quiet"], b"label: dos\n,,83\n", "a partition table of the kind dos"),
    ],
)
def test_what_is_on_a_disk_is_not_lost(tmp_path: Path, argv: list[str], stdin: bytes, what: str) -> None:
    given = work(tmp_path, "b")
    programs.run([*argv, given.disks[1]], stdin=stdin)
    with pytest.raises(TaskError) as error:
        add_swap.run(given)
    assert str(error.value) == f"SWAP=b: what is there would be lost ({what})"


def test_the_guest_is_told_of_its_swap_once(tmp_path: Path) -> None:
    given = work(tmp_path, "B")
    (tmp_path / "root/etc/fstab").write_text("UUID=1 / ext4 defaults 0 1\n", encoding="ascii")
    add_swap.run(given)
    text = (tmp_path / "root/etc/fstab").read_text(encoding="ascii")
    uuid = programs.run(["blkid", "-p", "-o", "value", "-s", "UUID", given.disks[1]]).strip()
    assert text == f"UUID=1 / ext4 defaults 0 1\nUUID={uuid} none swap sw 0 0\n"
    add_swap.run(given)
    assert (tmp_path / "root/etc/fstab").read_text(encoding="ascii") == text


def test_swap_of_another_guest_is_made_anew(tmp_path: Path) -> None:
    given = work(tmp_path, "b")
    programs.run(["mkswap", given.disks[1]])
    before = Path(given.disks[1]).read_bytes()[:4096]
    add_swap.run(given)
    assert Path(given.disks[1]).read_bytes()[:4096] != before
    assert (tmp_path / "root/etc/fstab").read_text(encoding="ascii").startswith("UUID=")


def test_a_partition_that_was_made_just_now_holds_nothing_of_worth(tmp_path: Path) -> None:
    given = work(tmp_path, "3:8")
    given.swap_device = given.disks[1]
    programs.run(["mke2fs", "-q", "-t", "ext4", given.swap_device])
    add_swap.run(given)
    assert programs.run(["blkid", "-p", "-o", "value", "-s", "TYPE", given.swap_device]) == "swap\n"
