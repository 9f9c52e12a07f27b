# SPDX-License-Identifier: BSD-2-Clause
"""Which images there are. Together they have every layout, file system and network stack at least once."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum

SIZE_BYTES = 1280 << 20
HOSTNAME = "template"
# In every image, so that a guest that still has it was not made anew.
MACHINE_ID = "00112233445566778899aabbccddeeff"
VOLUME_GROUP = "vg0"
SUBVOLUMES = {"/": "@rootfs", "/home": "@home"}


class Filesystem(StrEnum):
    """Of the root."""

    EXT4 = "ext4"
    XFS = "xfs"
    BTRFS = "btrfs"


class Layout(StrEnum):
    """What is on the disk, in its order."""

    GPT_BIOS = "gpt-bios"  # 14: GRUB, 1: root; that of Debian's own cloud images
    GPT = "gpt"  # 1: root; the kernel is started by the hypervisor
    MBR_LOGICAL = "mbr-logical"  # 1: swap, 2: extended, 5: root
    MBR_LVM = "mbr-lvm"  # 1: /boot, 2: LVM with the root


class Stack(StrEnum):
    """What sets up the network."""

    IFUPDOWN = "ifupdown"
    NETWORKD = "networkd"
    NETPLAN = "netplan"
    NETWORK_MANAGER = "network-manager"


class Naming(StrEnum):
    """How fstab and the kernel's command line call the root."""

    UUID = "uuid"
    LABEL = "label"
    PARTUUID = "partuuid"
    MAPPER = "mapper"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSpec:
    """One image."""

    name: str
    filesystem: Filesystem
    layout: Layout
    stack: Stack
    naming: Naming
    cloud_init: bool = False

    @property
    def has_bootloader(self) -> bool:
        return self.layout is not Layout.GPT

    def uuid(self, what: str) -> str:
        """The UUID of *what* in this image: the same each time it is made."""
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{what}.{self.name}.lab.test"))


_ALL = (
    ImageSpec(
        name="ext4-ifupdown",
        filesystem=Filesystem.EXT4,
        layout=Layout.GPT_BIOS,
        stack=Stack.IFUPDOWN,
        naming=Naming.UUID,
    ),
    ImageSpec(
        name="xfs-networkd",
        filesystem=Filesystem.XFS,
        layout=Layout.MBR_LOGICAL,
        stack=Stack.NETWORKD,
        naming=Naming.LABEL,
    ),
    ImageSpec(
        name="btrfs-nm",
        filesystem=Filesystem.BTRFS,
        layout=Layout.GPT,
        stack=Stack.NETWORK_MANAGER,
        naming=Naming.UUID,
    ),
    ImageSpec(
        name="lvm-netplan",
        filesystem=Filesystem.EXT4,
        layout=Layout.MBR_LVM,
        stack=Stack.NETPLAN,
        naming=Naming.MAPPER,
    ),
    ImageSpec(
        name="ext4-cloudinit",
        filesystem=Filesystem.EXT4,
        layout=Layout.GPT_BIOS,
        stack=Stack.NETPLAN,
        naming=Naming.PARTUUID,
        cloud_init=True,
    ),
)
IMAGES = {spec.name: spec for spec in _ALL}
