# SPDX-License-Identifier: BSD-2-Clause
"""The disks of hostile owners are what they claim to be, in the eyes of the programs that know them best."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from lab import million
from lab.hostile import HOSTILE, free_blocks
from lab.small_linux import KINDS, extents, make_disk, make_volume

pytestmark = pytest.mark.host_tools

START = 1 << 20


def volume_of(disk: Path, folder: Path) -> Path:
    """The file system on *disk*, which begins where partitions begin."""
    volume = folder / "checked"
    with disk.open("rb") as source, volume.open("wb") as target:
        for begin, end in extents(disk):
            if begin >= START or end > START:
                source.seek(max(begin, START))
                target.seek(max(begin, START) - START)
                target.write(source.read(end - source.tell()))
        target.truncate(disk.stat().st_size - START)
    return volume


def made(name: str, folder: Path) -> Path:
    disk = folder / "disk.raw"
    HOSTILE[name].make(disk)
    return disk


def tool(*argv: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("kind", "check"),
    [("ext4", ("e2fsck", "-fn")), ("xfs", ("xfs_repair", "-n", "-f")), ("btrfs", ("btrfs", "check"))],
)
def test_the_guests_they_are_made_of_are_whole(tmp_path: Path, kind: str, check: tuple[str, ...]) -> None:
    make_volume(tmp_path / "volume", kind)
    make_disk(tmp_path / "disk.raw", tmp_path / "volume")
    # Without what is behind the partition: that is no error of the file system.
    volume = volume_of(tmp_path / "disk.raw", tmp_path)
    with volume.open("r+b") as stream:
        stream.truncate(KINDS[kind].size_mib << 20)
    found = tool(*check, volume)
    assert found.returncode == 0, found


def test_the_logical_partition_is_number_five(tmp_path: Path) -> None:
    make_volume(tmp_path / "volume", "ext4")
    make_disk(tmp_path / "disk.raw", tmp_path / "volume", table="logical")
    table = json.loads(tool("sfdisk", "--json", tmp_path / "disk.raw").stdout)["partitiontable"]
    assert [(each["node"][-1], each["type"]) for each in table["partitions"]] == [("1", "5"), ("5", "83")]


def test_the_full_one_has_no_block_left(tmp_path: Path) -> None:
    volume = volume_of(made("a full file system", tmp_path), tmp_path)
    with volume.open("r+b") as stream:
        stream.truncate(KINDS["ext4"].size_mib << 20)
    assert free_blocks(volume) == 0
    assert tool("e2fsck", "-fn", volume).returncode == 0


def test_the_folders_within_themselves_are(tmp_path: Path) -> None:
    volume = volume_of(made("folders within themselves", tmp_path), tmp_path)
    numbers = {
        tool("debugfs", "-R", f"stat {path}", volume).stdout.split()[1]
        for path in ("/etc", "/etc/network/etc", "/etc/network/etc/network/etc")
    }
    assert len(numbers) == 1
    assert tool("e2fsck", "-fn", volume).returncode == 4


def test_the_endless_chain_has_no_end(tmp_path: Path) -> None:
    disk = made("endless chain of partitions", tmp_path)
    assert tool("sfdisk", "--dump", disk).stdout.count("type=83") > 50


def test_the_many_files_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(million, "FILES", 40_000)
    million.make_volume(tmp_path / "volume")
    checked = tool("e2fsck", "-fn", tmp_path / "volume")
    assert checked.returncode == 0, checked
    files = int(checked.stdout.splitlines()[-1].split(": ")[1].split("/")[0])
    assert 40_000 < files < 40_100
    listed = tool("debugfs", "-R", "ls -p /etc/ssh", tmp_path / "volume").stdout
    assert listed.count("/100644/0/0/ssh_host_0") == 40_000


@pytest.mark.parametrize(
    ("name", "path", "kind"),
    [
        ("links out of the root, at every file", "/etc/shadow", "symlink"),
        ("pipes", "/etc/shadow", "FIFO"),
        ("devices", "/etc/hostname", "character special"),
        ("terabytes", "/etc/hostname", "regular"),
    ],
)
def test_what_is_at_the_paths(tmp_path: Path, name: str, path: str, kind: str) -> None:
    volume = volume_of(made(name, tmp_path), tmp_path)
    assert f"Type: {kind}" in tool("debugfs", "-R", f"stat {path}", volume).stdout
