# SPDX-License-Identifier: BSD-2-Clause
"""Where on the disk things are."""

from __future__ import annotations

from dataclasses import dataclass

from lab.images.lvm import DATA_OFFSET, EXTENT_BYTES
from lab.images.spec import SIZE_BYTES, ImageSpec, Layout

SECTOR = 512
_MIB = 1 << 20
# GPT keeps a copy of the table at the end.
_END = SIZE_BYTES - _MIB

_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_BIOS_BOOT = "21686148-6449-6E6F-744E-656564454649"


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition; *kind* is its type in the words of sfdisk(8), *use* what is in it."""

    number: int
    start: int
    size: int
    kind: str
    use: str  # root, boot, swap, grub, lvm, or extended


@dataclass(frozen=True, slots=True)
class Area:
    """A range of the disk, in bytes."""

    start: int
    size: int


def partitions(spec: ImageSpec) -> tuple[Partition, ...]:
    """The partitions of the image, by their place."""
    match spec.layout:
        case Layout.GPT_BIOS:
            return (
                Partition(14, _MIB, _MIB, _BIOS_BOOT, "grub"),
                Partition(1, 2 * _MIB, _END - 2 * _MIB, _LINUX, "root"),
            )
        case Layout.GPT:
            return (Partition(1, _MIB, _END - _MIB, _LINUX, "root"),)
        case Layout.MBR_LOGICAL:
            return (
                Partition(1, _MIB, 64 * _MIB, "82", "swap"),
                Partition(2, 65 * _MIB, _END - 65 * _MIB, "5", "extended"),
                Partition(5, 66 * _MIB, _END - 66 * _MIB, "83", "root"),
            )
        case Layout.MBR_LVM:
            return (
                Partition(1, _MIB, 128 * _MIB, "83", "boot"),
                Partition(2, 129 * _MIB, _END - 129 * _MIB, "8e", "lvm"),
            )


def of_use(spec: ImageSpec, use: str) -> Partition | None:
    """The partition for *use*, if there is one."""
    return next((partition for partition in partitions(spec) if partition.use == use), None)


def root_area(spec: ImageSpec) -> Area:
    """Where the root file system is."""
    if (root := of_use(spec, "root")) is not None:
        return Area(root.start, root.size)
    lvm = of_use(spec, "lvm")
    assert lvm is not None
    return Area(lvm.start + DATA_OFFSET, (lvm.size - DATA_OFFSET) // EXTENT_BYTES * EXTENT_BYTES)


def table(spec: ImageSpec) -> str:
    """The script for sfdisk(8)."""
    gpt = spec.layout in (Layout.GPT, Layout.GPT_BIOS)
    identity = spec.uuid("disk")
    head = ["label: gpt", f"label-id: {identity}"] if gpt else ["label: dos", f"label-id: 0x{identity[:8]}"]
    lines = []
    for part in partitions(spec):
        line = f"disk{part.number} : start={part.start // SECTOR}, size={part.size // SECTOR}, type={part.kind}"
        lines.append(f"{line}, uuid={spec.uuid(part.use)}" if gpt else line)
    return "\n".join([*head, "", *lines, ""])


def partuuid(spec: ImageSpec) -> str:
    """What PARTUUID= says of the root's partition."""
    root = of_use(spec, "root")
    assert root is not None
    if spec.layout in (Layout.GPT, Layout.GPT_BIOS):
        return spec.uuid("root")
    return f"{spec.uuid('disk')[:8]}-{root.number:02d}"
