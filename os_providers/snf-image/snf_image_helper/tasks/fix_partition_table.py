# SPDX-License-Identifier: BSD-2-Clause
"""FixPartitionTable: let the last partition reach the end of the disk, and make a swap partition if one is wanted."""

from __future__ import annotations

import os

from snf_image_helper import devices, kernel, partitions
from snf_image_helper.partitions import GPT, Change
from snf_image_helper.task import TaskError, Work

_SECTOR = 512
# UEFI 2.10, 5.3.2: the header is in the second sector, and says at this place where its copy is.
_COPY_AT, _COPY_BYTES = _SECTOR + 32, 8


def run(work: Work) -> None:
    """See above; a disk without a table is left alone."""
    table, sectors = work.table, devices.sectors(work.disk)
    if table is None:
        return
    swap = partitions.swap_wanted(work.properties.get("SWAP", ""))
    if work.root_partition == 0:
        work.warn("the root lies on no single partition of the first disk: the table keeps its sizes")
        return
    fix = partitions.fix(table, sectors, work.root_partition, swap)
    for warning in fix.warnings:
        work.warn(warning)
    for change in fix.changes:
        _apply(work, change)
    if table.scheme == GPT and not fix.changes and _copy_place(work.disk) != sectors - 1:
        work.run(partitions.relocation(work.disk))
    if swap is not None:
        work.swap_device = devices.partitions(work.disk).get(swap.number, "")
        if not work.swap_device:
            raise TaskError(f"partition {swap.number} was made but is not there")


def _apply(work: Work, change: Change) -> None:
    argv, text = partitions.command(work.disk, change)
    work.run(argv, stdin=text)
    place = (work.disk, change.number, change.start * _SECTOR, change.size * _SECTOR)
    if change.new:
        kernel.add_partition(*place)
    elif change.tells_kernel:
        kernel.resize_partition(*place)


def _copy_place(disk: str) -> int:
    """The sector in which the copy of the table is."""
    fd = os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int.from_bytes(os.pread(fd, _COPY_BYTES, _COPY_AT), "little")
    finally:
        os.close(fd)
