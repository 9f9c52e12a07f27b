# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: write to a block device from many processes at once, and tell how many blocks are not as written.

Usage: parallel_writes.py DEVICE
"""

from __future__ import annotations

import mmap
import os
import struct
import sys

WRITERS = 16
BLOCK = 64 << 10


def pattern(number: int) -> bytes:
    """What block *number* is filled with."""
    return struct.pack("<QQ", number, ~number & (1 << 64) - 1) * (BLOCK // 16)


def write(device: str, writer: int, blocks: int) -> None:
    descriptor = os.open(device, os.O_RDWR | os.O_DIRECT)
    memory = mmap.mmap(-1, BLOCK)  # O_DIRECT wants memory that begins with a page
    for number in range(writer, blocks, WRITERS):
        memory[:] = pattern(number)
        os.pwritev(descriptor, [memory], number * BLOCK)
    os.fdatasync(descriptor)


def main() -> None:
    device = sys.argv[1]
    descriptor = os.open(device, os.O_RDONLY | os.O_DIRECT)
    blocks = os.lseek(descriptor, 0, os.SEEK_END) // BLOCK
    children = []
    for writer in range(WRITERS):
        child = os.fork()
        if child == 0:
            write(device, writer, blocks)
            os._exit(0)
        children.append(child)
    ends = [os.waitpid(child, 0)[1] for child in children]
    wrong, memory = 0, mmap.mmap(-1, BLOCK)
    for number in range(blocks):
        os.preadv(descriptor, [memory], number * BLOCK)
        wrong += memory[:] != pattern(number)
    sys.stdout.write(f"{blocks} blocks, {wrong} wrong, {sum(end != 0 for end in ends)} writers failed\n")


if __name__ == "__main__":
    main()
