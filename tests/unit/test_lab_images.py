# SPDX-License-Identifier: BSD-2-Clause
"""The parts of real guests' images that are bytes and text."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import pytest

from ganeti_cloud.process import run
from lab.images import grub, lvm
from lab.images.content import command_line, files, unwanted_packages
from lab.images.image import copy_in, make_filesystem
from lab.images.lvm import DATA_OFFSET, Volume, physical_volume
from lab.images.partitions import partitions, partuuid, root_area, table
from lab.images.spec import IMAGES, SIZE_BYTES, Filesystem, ImageSpec, Layout, Naming, Stack
from lab.images.tree import key, packages
from lab.spec import Release

MIB = 1 << 20


def test_every_layout_file_system_stack_and_name_of_the_root_has_an_image() -> None:
    specs = list(IMAGES.values())
    assert {spec.filesystem for spec in specs} == set(Filesystem)
    assert {spec.layout for spec in specs} == set(Layout)
    assert {spec.stack for spec in specs} == set(Stack)
    assert {spec.naming for spec in specs} == set(Naming)
    assert [spec.name for spec in specs if spec.cloud_init] == ["ext4-cloudinit"]


@pytest.mark.parametrize("spec", IMAGES.values(), ids=IMAGES)
def test_the_root_can_grow_and_nothing_overlaps(spec: ImageSpec) -> None:
    parts = [part for part in partitions(spec) if part.use != "extended"]
    ends = [part.start + part.size for part in parts]
    assert all(end <= part.start for end, part in zip(ends, parts[1:], strict=False))
    assert ends[-1] == SIZE_BYTES - MIB
    area = root_area(spec)
    assert parts[-1].start <= area.start < area.start + area.size <= ends[-1]


@pytest.mark.host_tools
@pytest.mark.parametrize("spec", IMAGES.values(), ids=IMAGES)
def test_the_table_is_what_sfdisk_makes_of_it(spec: ImageSpec, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, SIZE_BYTES)
    run(["sfdisk", "--quiet", str(disk)], stdin=table(spec), timeout_s=20)
    made = json.loads(run(["sfdisk", "--json", str(disk)], timeout_s=20))["partitiontable"]
    found = {(int(each["node"].removeprefix(str(disk))), each["start"] * 512) for each in made["partitions"]}
    assert found == {(part.number, part.start) for part in partitions(spec)}
    assert made["label"] == ("gpt" if spec.layout in (Layout.GPT, Layout.GPT_BIOS) else "dos")
    if made["label"] == "gpt":
        roots = [each["uuid"].lower() for each in made["partitions"] if each["node"].endswith("disk1")]
        assert roots == [partuuid(spec)]


def test_checksum_is_lvms_own() -> None:
    """Of nothing it is the start, which is not so for the CRC-32 that everybody else has."""
    assert lvm.crc(b"") == 0xF597A6CF


def test_the_physical_volume_leads_to_its_metadata() -> None:
    raw = physical_volume(Volume("vg0", "root", 100 * MIB))
    assert len(raw) == DATA_OFFSET
    label = raw[512:1024]
    name, sector, checksum, offset, kind = struct.unpack_from("<8sQII8s", label)
    assert (name, sector, offset, kind) == (b"LABELONE", 1, 32, b"LVM2 001")
    assert checksum == lvm.crc(label[20:])
    header = raw[4096:4608]
    (checksum,) = struct.unpack_from("<I", header)
    assert checksum == lvm.crc(header[4:])
    start, size, text_crc = struct.unpack_from("<QQI", header, 40)
    text = raw[4096 + start : 4096 + start + size]
    assert (lvm.crc(text), text[-1]) == (text_crc, 0)
    assert b"pe_count = 24\n" in text
    assert text.count(b"{") == text.count(b"}") == 6


def test_grub_is_told_where_its_core_is() -> None:
    code = grub.boot_code(b"\xaa" * 512, 2048)
    assert (len(code), code[0x5C:0x64]) == (440, (2048).to_bytes(8, "little"))
    core = grub.linked(b"\xbb" * 1400, 2048, 2048)
    assert core[500:512] == struct.pack("<QHH", 2049, 2, 0x820)
    assert (core[:500], core[512:]) == (b"\xbb" * 500, b"\xbb" * 888)


def test_a_core_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="has 3 sectors, and there is room for 2"):
        grub.linked(bytes(1400), 1, 2)


def test_the_places_for_grub() -> None:
    places = {name: grub.core_place(spec) for name, spec in IMAGES.items() if spec.has_bootloader}
    assert places == {
        "ext4-ifupdown": (2048, 2048),
        "xfs-networkd": (1, 2047),
        "lvm-netplan": (1, 2047),
        "ext4-cloudinit": (2048, 2048),
    }
    homes = {name: grub.early_config(IMAGES[name]).splitlines()[-1] for name in places}
    assert homes == {
        "ext4-ifupdown": "configfile (hd0,gpt1)/boot/grub/grub.cfg",
        "xfs-networkd": "configfile (hd0,msdos5)/boot/grub/grub.cfg",
        "lvm-netplan": "configfile (hd0,msdos1)/grub/grub.cfg",
        "ext4-cloudinit": "configfile (hd0,gpt1)/boot/grub/grub.cfg",
    }


def test_how_each_image_calls_its_file_systems() -> None:
    def fstab(name: str) -> list[str]:
        return dict(files(IMAGES[name], "6.1"))["etc/fstab"].splitlines()

    spec = IMAGES
    assert fstab("ext4-ifupdown") == [f"UUID={spec['ext4-ifupdown'].uuid('root')} / ext4 defaults 0 1"]
    assert fstab("xfs-networkd") == [
        "LABEL=system / xfs defaults 0 0",
        f"UUID={spec['xfs-networkd'].uuid('swap')} none swap sw 0 0",
    ]
    root = f"UUID={spec['btrfs-nm'].uuid('root')}"
    assert fstab("btrfs-nm") == [
        f"{root} / btrfs defaults,subvol=@rootfs 0 0",
        f"{root} /home btrfs defaults,subvol=@home 0 0",
    ]
    assert fstab("lvm-netplan") == [
        "/dev/mapper/vg0-root / ext4 defaults 0 1",
        f"UUID={spec['lvm-netplan'].uuid('boot')} /boot ext4 defaults 0 2",
    ]
    assert fstab("ext4-cloudinit") == [f"PARTUUID={spec['ext4-cloudinit'].uuid('root')} / ext4 defaults 0 1"]


def test_the_kernel_is_told_the_subvolume() -> None:
    spec = IMAGES["btrfs-nm"]
    assert command_line(spec) == f"root=UUID={spec.uuid('root')} ro quiet console=ttyS0,115200 rootflags=subvol=@rootfs"


def test_the_menu_of_a_separate_boot_partition() -> None:
    menu = dict(files(IMAGES["lvm-netplan"], "6.1"))["boot/grub/grub.cfg"]
    assert "set root=(hd0,msdos1)\n" in menu
    assert "  linux /vmlinuz-6.1 root=/dev/mapper/vg0-root ro quiet console=ttyS0,115200\n" in menu


@pytest.mark.parametrize(
    ("name", "unwanted"),
    [
        ("ext4-ifupdown", ("netplan.io", "network-manager", "cloud-init")),
        ("xfs-networkd", ("ifupdown", "netplan.io", "network-manager", "cloud-init")),
        ("ext4-cloudinit", ("ifupdown", "network-manager")),
    ],
)
def test_an_image_keeps_its_own_network_stack_alone(name: str, unwanted: tuple[str, ...]) -> None:
    assert unwanted_packages(IMAGES[name]) == unwanted


def test_file_systems_have_names_that_last() -> None:
    spec = IMAGES["xfs-networkd"]
    assert make_filesystem(spec, "root") == ["mkfs.xfs", "-q", "-m", f"uuid={spec.uuid('root')}", "-L", "system"]
    assert make_filesystem(spec, "swap") == ["mkswap", "--uuid", spec.uuid("swap")]
    assert spec.uuid("root") != IMAGES["btrfs-nm"].uuid("root")


def test_each_release_has_a_tree_of_its_own() -> None:
    assert key(Release.BOOKWORM) != key(Release.TRIXIE)
    assert "dhcpcd-base" in packages(Release.TRIXIE)


def test_holes_stay_holes(tmp_path: Path) -> None:
    source, disk = tmp_path / "source", tmp_path / "disk"
    with source.open("wb") as stream:
        stream.seek(8 * MIB)
        stream.write(b"x" * 5000)
        stream.truncate(16 * MIB)
    disk.write_bytes(b"head")
    os.truncate(disk, 20 * MIB)
    copy_in(source, disk, MIB)
    raw = disk.read_bytes()
    assert (raw[:4], raw[9 * MIB : 9 * MIB + 5000], len(raw)) == (b"head", b"x" * 5000, 20 * MIB)
    assert raw.count(b"\0") == 20 * MIB - 5004
    assert disk.stat().st_blocks * 512 < MIB
