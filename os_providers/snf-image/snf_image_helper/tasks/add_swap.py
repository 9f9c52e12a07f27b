# SPDX-License-Identifier: BSD-2-Clause
"""AddSwap: swap on a partition made by FixPartitionTable, or on a disk named by its letter, in the guest's table."""

from __future__ import annotations

from snf_image_helper import devices, filesystems, fstab, partitions
from snf_image_helper.task import TaskError, Work


def run(work: Work) -> None:
    """See above. Swap that the guest's table names already is left as it is."""
    text = work.properties.get("SWAP", "").strip()
    if not text:
        return
    device = work.swap_device or _device(work, text)
    # Whatever is on a partition that was made just now was on nothing before.
    there = "" if work.swap_device else _swap_on(work, device, text)
    try:
        table = work.root.read_text(fstab.PATH)
    except FileNotFoundError:
        table = ""
    if not there or there not in table:
        work.root.write_text(fstab.PATH, appended(table, _made(work, device)))


def _device(work: Work, text: str) -> str:
    """The device that *text* names. Raises TaskError."""
    swap = partitions.swap_wanted(text)
    if swap is not None:
        device = devices.partitions(work.disk).get(swap.number, "")
        if not device:
            raise TaskError(f"SWAP={text}: there is no partition {swap.number}, and FixPartitionTable was left out")
        return device
    if len(text) != 1 or not "a" <= text.lower() <= "z":
        raise TaskError(f"SWAP={text}: write <number of a partition>:<MiB>, or the letter of a disk")
    index = ord(text.lower()) - ord("a")
    if index == 0 or index >= len(work.disks):
        raise TaskError(f"SWAP={text}: the instance has {len(work.disks)} disks, and the first is not for swap")
    return work.disks[index]


def _swap_on(work: Work, device: str, text: str) -> str:
    """The UUID of the swap that is on *device* already, or nothing. Raises TaskError when something else is on it."""
    found = filesystems.probe(work.run, [device])
    # A partition without anything on it has a UUID nevertheless.
    if not found or not (found[0].filesystem or found[0].table):
        return ""
    if found[0].filesystem != "swap":
        what = found[0].filesystem or f"a partition table of the kind {found[0].table}"
        raise TaskError(f"SWAP={text}: what is there would be lost ({what})")
    return found[0].uuid


def _made(work: Work, device: str) -> str:
    """Make swap on *device*; its new UUID."""
    with open("/proc/sys/kernel/random/uuid", encoding="ascii") as stream:
        uuid = stream.read().strip()
    work.run(["mkswap", "--uuid", uuid, device])
    return uuid


def appended(table: str, uuid: str) -> str:
    """*table* with a line for the swap *uuid* at its end."""
    gap = "" if table.endswith("\n") or not table else "\n"
    return f"{table}{gap}UUID={uuid} none swap sw 0 0\n"
