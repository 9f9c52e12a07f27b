# SPDX-License-Identifier: BSD-2-Clause
"""Fuzzed disks are the same each time, differ from each other, and have right checksums when they say so."""

from __future__ import annotations

import subprocess
import zlib
from pathlib import Path

import pytest

from lab.fuzzing import REGIONS, Mutation, crc32c, mutations
from lab.small_linux import make_disk, make_volume

pytestmark = pytest.mark.host_tools


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("disks")
    made = {}
    for kind in ("ext4", "xfs"):
        make_volume(folder / "volume", kind)
        made[kind] = folder / f"{kind}.raw"
        make_disk(made[kind], folder / "volume")
    return made


def changed(base: Path, mutation: Mutation) -> bool:
    with base.open("rb") as stream:
        stream.seek(mutation.start)
        return stream.read(len(mutation.content)) != mutation.content


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_the_same_numbers_give_the_same_disks(disks: dict[str, Path], kind: str) -> None:
    found = list(mutations(kind, disks[kind], range(60)))
    assert found == list(mutations(kind, disks[kind], range(60)))
    assert found[40:] == list(mutations(kind, disks[kind], range(40, 60)))
    assert len({(each.start, each.content) for each in found}) > 55
    assert sum(changed(disks[kind], each) for each in found) > 55
    assert {each.region for each in found} == {"table", *REGIONS[kind]}


def test_mended_tables_have_the_checksum_that_uefi_wants(disks: dict[str, Path]) -> None:
    right = []
    for each in mutations("ext4", disks["ext4"], range(120)):
        if each.region == "table":
            header = each.content[512:1024]
            size = min(512, int.from_bytes(header[12:16], "little"))
            summed = zlib.crc32((header[:16] + bytes(4) + header[20:])[:size])
            right.append((each.mended, int.from_bytes(header[16:20], "little") == summed))
    assert (True, False) not in right
    assert {(True, True), (False, False)} <= set(right)


def test_mended_superblocks_of_xfs_have_the_checksum_that_xfs_wants(disks: dict[str, Path]) -> None:
    for each in mutations("xfs", disks["xfs"], range(80)):
        if each.region == "superblock":
            wanted = crc32c(each.content[:224] + bytes(4) + each.content[228:])
            assert (int.from_bytes(each.content[224:228], "little") == wanted) is each.mended


def test_the_checksum_is_that_of_the_kernel(disks: dict[str, Path]) -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C, in the catalogue of parametrised CRCs
    with disks["xfs"].open("rb") as stream:
        stream.seek(1 << 20)
        raw = stream.read(512)
    assert crc32c(raw[:224] + bytes(4) + raw[228:]) == int.from_bytes(raw[224:228], "little")


def test_a_mutation_is_written_where_it_belongs(disks: dict[str, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy.raw"
    copy.write_bytes(disks["ext4"].read_bytes())
    mutation = next(each for each in mutations("ext4", copy, range(50)) if each.region == "superblock")
    mutation.apply(copy)
    assert not changed(copy, mutation)
    assert copy.stat().st_size == disks["ext4"].stat().st_size
    same = subprocess.run(["cmp", "-l", disks["ext4"], copy], capture_output=True, text=True, check=False).stdout
    places = [int(line.split()[0]) - 1 for line in same.splitlines()]
    assert places and all(mutation.start <= at < mutation.start + 1024 for at in places)
