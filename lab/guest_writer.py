# SPDX-License-Identifier: BSD-2-Clause
"""A writer that notices every write that was lost, torn, doubled or misplaced. It runs in the test guest.

    guest_writer.py write DISK STATE    for ever; keeps its counters in the file STATE
    guest_writer.py check DISK LEAST    tells what is on DISK; status 1 if a write up to LEAST is missing

The writes are numbered. Write *n* fills the slot ``n % slots`` with a block that is a function of *n* alone and ends
with a checksum, and counts when the disk has said that it is durable. So what each slot must hold is known from the
number of writes alone: to the writer, to the next writer after a crash, and to whoever looks from outside.

In the guest there is a bare interpreter without most of the standard library, so that nothing else is imported.
"""

import array
import os
import sys
import time
import zlib

BLOCK = 4096
# 64 MiB in all, so that the slots are in many of the storage's objects and of a mirror's chunks.
STRIDE = 256 << 10
MOST_SLOTS = 256

_MARK = b"lab-writer %020d\n"
_PAUSE_S = 0.02
_AFTER_ERROR_S = 0.5


def block(number: int) -> bytes:
    """What write *number* consists of; number 0 is a slot that was never written."""
    if number == 0:
        return bytes(BLOCK)
    mark = _MARK % number
    body = (mark * (BLOCK // len(mark) + 1))[: BLOCK - 4]
    return body + zlib.crc32(body).to_bytes(4, "big")


def number_in(found: bytes) -> int | None:
    """Which write *found* is; None when it is none as it was written."""
    digits = found[len(b"lab-writer ") : len(_MARK % 0) - 1]
    number = int(digits) if digits.isdigit() else 0
    return number if found == block(number) else None


def wanted(slots: int, last: int) -> list[int]:
    """The number that each slot holds after the writes 1 to *last*."""
    return [max(0, last - (last - slot) % slots) for slot in range(slots)]


class Disk:
    """The slots of a disk. Nothing is cached: what is read comes from the storage."""

    def __init__(self, path: str, *, writable: bool) -> None:
        self._file = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_DIRECT)
        self.slots = min(MOST_SLOTS, os.lseek(self._file, 0, os.SEEK_END) // STRIDE)
        # O_DIRECT wants memory that begins where a block of the disk could.
        memory = array.array("B", bytes(2 * BLOCK))
        begin = -memory.buffer_info()[0] % BLOCK
        self._buffer = memoryview(memory)[begin : begin + BLOCK]

    def write(self, number: int) -> None:
        """Make write *number* and wait until it is durable."""
        self._buffer[:] = block(number)
        if os.pwrite(self._file, self._buffer, number % self.slots * STRIDE) != BLOCK:
            raise OSError("a short write")
        os.fdatasync(self._file)

    def read(self, slot: int) -> int | None:
        """The number of the write in *slot*; None when it is damaged."""
        os.preadv(self._file, [self._buffer], slot * STRIDE)
        return number_in(bytes(self._buffer))


class Writer:
    """Writes and verifies in turn."""

    def __init__(self, disk: Disk, state: str) -> None:
        self._disk = disk
        self._state = state
        self._slot = 0
        self.writes = self.verified = self.mismatches = self.errors = 0
        self._expected: list[int | None] = []

    def resume(self) -> None:
        """Verify all that an earlier writer left, and go on after its last write."""
        self._expected = [self._disk.read(slot) for slot in range(self._disk.slots)]
        self.writes = max((number or 0 for number in self._expected), default=0)
        for slot, number in enumerate(wanted(self._disk.slots, self.writes)):
            self._compare(slot, self._expected[slot], number)

    def step(self) -> None:
        """One write, and the next two slots read again. A write that fails is made again before anything else.

        Reading is twice as quick as writing, so that it meets every slot at every age.
        """
        number = self.writes + 1
        self._disk.write(number)
        self._expected[number % self._disk.slots] = number
        self.writes = number
        for _ in range(2):
            found = self._disk.read(self._slot)
            self._compare(self._slot, found, self._expected[self._slot])
            self._expected[self._slot] = found  # what was lost is counted once
            self._slot = (self._slot + 1) % self._disk.slots

    def tell(self) -> None:
        """Renew the file of the counters."""
        text = f"writes={self.writes} verified={self.verified} mismatches={self.mismatches} errors={self.errors}\n"
        with open(f"{self._state}.new", "w", encoding="utf-8") as stream:
            stream.write(text)
        os.replace(f"{self._state}.new", self._state)

    def _compare(self, slot: int, found: int | None, expected: int | None) -> None:
        self.verified += 1
        if found != expected:
            self.mismatches += 1
            sys.stdout.write(f"lab-writer: slot {slot} has write {found} and not {expected}\n")
            sys.stdout.flush()


def write(path: str, state: str) -> None:
    """Write to the disk at *path* for ever."""
    writer = Writer(Disk(path, writable=True), state)
    action = writer.resume
    while True:
        try:
            action()
            action = writer.step
            time.sleep(_PAUSE_S)
        except OSError:
            writer.errors += 1
            time.sleep(_AFTER_ERROR_S)
        writer.tell()


def check(path: str, least: int) -> bool:
    """Whether the disk at *path* holds at least the writes 1 to *least*, and each slot its newest one. Says so."""
    disk = Disk(path, writable=False)
    found = [disk.read(slot) for slot in range(disk.slots)]
    last = max((number or 0 for number in found), default=0)
    wrong = [slot for slot, number in enumerate(wanted(disk.slots, last)) if found[slot] != number]
    sys.stdout.write(f"writes={last} wrong={len(wrong)}\n")
    for slot in wrong:
        sys.stdout.write(f"slot {slot} has write {found[slot]} and not {wanted(disk.slots, last)[slot]}\n")
    return not wrong and last >= least


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2], sys.argv[3])
    sys.exit(0 if check(sys.argv[2], int(sys.argv[3])) else 1)
