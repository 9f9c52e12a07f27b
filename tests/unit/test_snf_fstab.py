# SPDX-License-Identifier: BSD-2-Clause
"""What of the guest's table of file systems is mounted, and on which devices it lies."""

from __future__ import annotations

import pytest

from snf_image_helper import fstab
from snf_image_helper.filesystems import Device
from snf_image_helper.fstab import Entry
from snf_image_helper.task import TaskError

DISKS = ("/dev/vda", "/dev/vdc")
ROOT = Device("/dev/vda2", "ext4", uuid="1d9c-A", label="a root", partition_uuid="aabb-02", partition_label="pöa")
DATA = Device("/dev/vdc1", "xfs", uuid="2222", label="data")
WHOLE = Device("/dev/vdc", "", table="dos")
VOLUME = Device("/dev/mapper/vg--a-l--v", "ext4", uuid="3333")
TWIN = Device("/dev/vdc2", "xfs", uuid="4444", label="data2")
CLONE = Device("/dev/vdc3", "xfs", uuid="4444", label="data3")
DEVICES = (ROOT, DATA, WHOLE, VOLUME, TWIN, CLONE)


def test_the_table_is_read_in_the_order_of_paths() -> None:
    text = """
# a comment
UUID=1 / ext4 defaults,subvol=@ 0 1
LABEL=x /srv/www-data/deep btrfs subvol=/deep,compress=zstd
UUID=2 /srv/ xfs nofail 0 2
  # another
UUID=5 /srv/www\\040data vfat noauto,x
UUID=3 //boot/./efi auto
UUID=4 /srv-b ext2
"""
    assert fstab.parse(text) == (
        Entry("UUID=1", "", "ext4", ("defaults", "subvol=@")),
        Entry("UUID=3", "/boot/efi", "auto", ("defaults",)),
        Entry("UUID=2", "/srv", "xfs", ("nofail",)),
        Entry("UUID=5", "/srv/www data", "vfat", ("noauto", "x")),
        Entry("LABEL=x", "/srv/www-data/deep", "btrfs", ("subvol=/deep", "compress=zstd")),
        Entry("UUID=4", "/srv-b", "ext2", ("defaults",)),
    )


@pytest.mark.parametrize(
    "line",
    [
        "tmpfs /tmp tmpfs defaults",
        "proc /proc proc defaults",
        "UUID=1 none swap sw",
        "UUID=1 swap swap sw",
        "/dev/fd0 /media/floppy auto rw,user,noauto",
        "/dev/cdrom /media/cdrom auto ro",
        "/dev/sr0 /media/cdrom0 auto ro",
        "server:/x /x nfs defaults",
        "/srv /mnt none bind",
        "/dev/vda1 /x iso9660 ro",
        "UUID=1 /x",
    ],
)
def test_what_lies_on_no_disk_of_the_instance_is_passed_over(line: str) -> None:
    assert fstab.parse(line) == ()


def test_a_table_without_end_is_refused() -> None:
    with pytest.raises(TaskError, match="/etc/fstab has more than 128 entries"):
        fstab.parse("UUID=1 /a ext4\n" * 129)


@pytest.mark.parametrize(
    ("options", "optional", "subvolume"),
    [
        (("defaults",), False, ""),
        (("rw", "nofail"), True, ""),
        (("noauto",), True, ""),
        (("subvolid=5", "rw"), False, "subvolid=5"),
    ],
)
def test_what_options_say(options: tuple[str, ...], optional: bool, subvolume: str) -> None:
    entry = Entry("UUID=1", "/x", "btrfs", options)
    assert (entry.optional, entry.subvolume) == (optional, subvolume)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("UUID=1D9C-a", ROOT),
        ('UUID="1d9c-a"', ROOT),
        ("LABEL=a root", ROOT),
        ('LABEL="data"', DATA),
        ("PARTUUID=AABB-02", ROOT),
        ("PARTLABEL=pöa", ROOT),
        ("/dev/disk/by-uuid/2222", DATA),
        ("/dev/disk/by-label/a\\x20root", ROOT),
        ("/dev/disk/by-partuuid/aabb-02", ROOT),
        ("/dev/disk/by-partlabel/pöa", ROOT),
        ("/dev/sda2", ROOT),
        ("/dev/xvdb1", DATA),
        ("/dev/vdb", WHOLE),
        ("/dev/mapper/vg--a-l--v", VOLUME),
        ("/dev/vg-a/l-v", VOLUME),
    ],
)
def test_every_way_to_name_a_device(source: str, wanted: Device) -> None:
    assert fstab.device(source, DEVICES, DISKS) == wanted


@pytest.mark.parametrize(
    "source",
    ["UUID=9", "UUID=", "LABEL=DATA", "/dev/sdc1", "/dev/sda9", "/dev/disk/by-id/x", "/dev/nbd0", "", "/", "ID=1"],
)
def test_what_is_not_there_is_told(source: str) -> None:
    with pytest.raises(TaskError, match="no file system of the instance is so"):
        fstab.device(source, DEVICES, DISKS)


def test_what_could_be_two_is_not_guessed() -> None:
    with pytest.raises(TaskError, match="UUID=4444: more than one file system of the instance is so"):
        fstab.device("UUID=4444", DEVICES, DISKS)


def test_a_disk_whose_name_ends_in_a_digit_has_a_letter_before_its_partitions() -> None:
    device = Device("/dev/nvme1n1p3", "ext4")
    assert fstab.device("/dev/sda3", [device], ["/dev/nvme1n1"]) == device
