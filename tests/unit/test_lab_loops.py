# SPDX-License-Identifier: BSD-2-Clause
"""Whose a loop device is."""

from __future__ import annotations

from lab.loops import Footprint, Loop, mounted_filesystems, parse_losetup

# losetup (util-linux 2.38) of a machine with a lab: a layer, a volume behind FUSE, and what a dead node left.
_LOSETUP = """{
   "loopdevices": [
      {"name": "/dev/loop0", "back-ino": 1483094, "back-maj:min": "     254:0  ",
       "back-file": "/var/cache/ganeti-cloud-lab/base-trixie-142df6b0382d.squashfs"},
      {"name": "/dev/loop4", "back-ino": 1, "back-maj:min": "       0:205",
       "back-file": "/run/ganeti-cloud/archipelago/a8617624.ext.disk0.raw"},
      {"name": "/dev/loop5", "back-ino": null, "back-maj:min": null, "back-file": "/"}
   ]
}"""

_LAYER = Loop("/dev/loop0", "/var/cache/ganeti-cloud-lab/base-trixie-142df6b0382d.squashfs", 1483094, "254:0")
_VOLUME = Loop("/dev/loop4", "/run/ganeti-cloud/archipelago/a8617624.ext.disk0.raw", 1, "0:205")
_LEFT = Loop("/dev/loop5", "/", None, "")


def test_losetup_is_read() -> None:
    assert parse_losetup(_LOSETUP) == [_LAYER, _VOLUME, _LEFT]


def test_no_loop_devices() -> None:
    assert parse_losetup("") == []


def test_a_volume_is_its_node_s() -> None:
    print_of_lab = Footprint(frozenset({"0:205"}), frozenset())
    assert [print_of_lab.holds(loop) for loop in (_LAYER, _VOLUME, _LEFT)] == [False, True, False]


def test_a_file_of_the_shared_folder_is_the_lab_s() -> None:
    shared = Loop("/dev/loop7", "/srv/shared/disk.raw", 77, "254:0")
    elsewhere = Loop("/dev/loop8", "/srv/shared/disk.raw", 78, "254:0")
    print_of_lab = Footprint(frozenset(), frozenset({("254:0", 77)}))
    assert [print_of_lab.holds(loop) for loop in (shared, elsewhere, _LAYER)] == [True, False, False]


def test_only_what_a_dead_node_left_is_orphaned() -> None:
    assert [loop.orphaned for loop in (_LAYER, _VOLUME, _LEFT)] == [False, False, True]


def test_filesystems_of_a_mount_table() -> None:
    table = "22 1 254:0 / / rw - ext4 /dev/vda rw\n40 22 0:205 / /run/v.raw rw shared:1 - fuse /dev/fuse rw\n"
    assert mounted_filesystems(table) == {"254:0", "0:205"}
