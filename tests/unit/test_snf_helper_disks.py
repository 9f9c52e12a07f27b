# SPDX-License-Identifier: BSD-2-Clause
"""Real runs of the helper machine on disks of many kinds: what has grown afterwards, and what is told of the others."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run
from snf_image.machine.running import MachineDisk, run_helper
from snf_image_helper.lines import WARNING, Line
from tests.unit.snf_machine import JOB, SETTINGS, helper_image

pytestmark = pytest.mark.host_tools

MIB = 1 << 20
# What is not about disks has tests of its own.
REST = (
    "AssignHostname",
    "ChangeMachineId",
    "ChangePassword",
    "ConfigureNetwork",
    "DeleteSSHKeys",
    "SELinuxAutorelabel",
)
CLOUD = "label: gpt\nstart=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\nstart=4096, type=L\n"
LOGICAL = "label: dos\nstart=2048, size=32768, type=83\nstart=34816, type=5\nstart=36864, type=83\n"


class Guest(NamedTuple):
    """A guest of 512 MiB: its table, the file system of its root and where that is, what else is there, its fstab."""

    script: str
    kind: str
    start_mib: int
    fstab: str
    others: tuple[tuple[str, int, int], ...] = ()


def make(folder: Path, guest: Guest) -> Path:
    """Its disk, which has then been grown to 2 GiB."""
    disk, tree = folder / "disk", folder / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/fstab").write_text(guest.fstab, encoding="ascii")
    truncate(disk, 512)
    if guest.script:
        run(["sfdisk", "--quiet", str(disk)], stdin=guest.script, timeout_s=10)
    for kind, start_mib, size_mib in ((guest.kind, guest.start_mib, 511 - guest.start_mib), *guest.others):
        volume = folder / "volume"
        truncate(volume, size_mib)
        run(MAKERS[kind](volume, tree), timeout_s=60)
        run(["dd", f"if={volume}", f"of={disk}", "bs=1M", f"seek={start_mib}", "conv=notrunc,sparse"], timeout_s=60)
        volume.unlink()
    truncate(disk, 2048)
    return disk


def truncate(path: Path, mib: int) -> None:
    with path.open("ab") as stream:
        stream.truncate(mib * MIB)


def xfs(volume: Path, tree: Path) -> list[str]:
    """mkfs.xfs copies no tree; it takes a list of files, see mkfs.xfs(8)."""
    prototype = volume.with_name("prototype")
    fstab = f"fstab ---644 0 0 {tree}/etc/fstab"
    prototype.write_text(f"/\n0 0\nd--755 0 0\netc d--755 0 0\n{fstab}\n$\n$\n", encoding="ascii")
    return ["mkfs.xfs", "-q", "-p", str(prototype), str(volume)]


MAKERS: dict[str, Callable[[Path, Path], list[str]]] = {
    "ext4": lambda volume, tree: ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-L", "root", str(volume)],
    "btrfs": lambda volume, tree: ["mkfs.btrfs", "-q", "--rootdir", str(tree), str(volume)],
    "vfat": lambda volume, tree: ["mkfs.vfat", "-n", "BOOT", str(volume)],
    "xfs": xfs,
}


def size_mib(disk: Path, kind: str, start_mib: int) -> int:
    """The size that the superblock tells."""
    with disk.open("rb") as stream:
        stream.seek(start_mib * MIB)
        raw = stream.read(MIB)
    if kind == "ext4":
        blocks, block = struct.unpack_from("<I", raw, 1024 + 4)[0], 1024 << struct.unpack_from("<I", raw, 1024 + 24)[0]
    elif kind == "xfs":
        block, blocks = struct.unpack_from(">IQ", raw, 4)
    else:
        blocks, block = struct.unpack_from("<Q", raw, 0x10000 + 0x70)[0], 1
    return int(blocks * block // MIB)


def deploy(disk: Path, **properties: str) -> list[Line]:
    """What the machine tells."""
    told: list[Line] = []
    job = JOB._replace(excluded=REST, properties=properties)
    console: list[str] = []
    state = disk.with_name("state")
    run_helper(
        job,
        [MachineDisk(str(disk), "", "default")],
        SETTINGS,
        told.append,
        console.append,
        folder=helper_image(),
        state=state,
    )
    return told


@pytest.mark.parametrize(
    ("guest", "properties", "grown", "warnings"),
    [
        (Guest(CLOUD, "ext4", 2, "LABEL=root / ext4 defaults 0 1\n"), {}, 2045, []),
        (
            Guest(
                LOGICAL,
                "xfs",
                18,
                "/dev/sda5 / xfs defaults 0 1\nLABEL=BOOT /boot vfat defaults\nUUID=7 /x ext4 nofail\n",
                (("vfat", 1, 16),),
            ),
            {"SWAP": "6:128"},
            1900,
            ["/x of the guest's /etc/fstab: UUID=7: no file system of the instance is so"],
        ),
        (Guest("", "btrfs", 0, ""), {}, 2048, []),
    ],
    ids=["ext4 by GPT", "logical XFS with swap", "btrfs without a table"],
)
def test_the_root_fills_the_disk(
    tmp_path: Path, guest: Guest, properties: dict[str, str], grown: int, warnings: list[str]
) -> None:
    disk = make(tmp_path, guest)
    told = deploy(disk, **properties)
    assert [line.text for line in told if line.kind == WARNING] == warnings
    assert size_mib(disk, guest.kind, guest.start_mib) == grown
    if guest.script:
        assert "No errors detected" in run(["sfdisk", "--verify", str(disk)], timeout_s=10)


def test_a_damaged_root_is_told(tmp_path: Path) -> None:
    disk = make(tmp_path, Guest(CLOUD, "ext4", 2, ""))
    with disk.open("r+b") as stream:
        stream.seek(2 * MIB + 4096)
        stream.write(b"\xff" * 4096)
    with pytest.raises(CloudError, match="DetectSystem.*partition 2: /dev/vd[a-z]2: ext4 cannot be mounted"):
        deploy(disk)
