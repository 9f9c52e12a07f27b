# SPDX-License-Identifier: BSD-2-Clause
"""The partition table of a disk: what it says, and what has to change on a disk that is larger than its image was.

Nothing is ever moved or made smaller, and only the last partition is enlarged.
"""

from __future__ import annotations

import json

from snf_image_helper.records import NamedTuple
from snf_image_helper.task import TaskError

GPT = "gpt"
MBR = "dos"

# In units of 512 bytes, as all sizes here: where partitions begin and end, and what stays free at the end for the
# second copy of a GPT.
ALIGNMENT = 2048
_TAIL = 2048
# A logical partition has its own table in front of it.
_LOGICAL_GAP = ALIGNMENT
_MBR_LIMIT = (1 << 32) - 1
_MIB = 2048

_EXTENDED = frozenset({"5", "f", "85"})
_FIRST_LOGICAL = 5
_MOST_NUMBERS = 128

# The kernel is told by us, as to have it read the whole table again fails while a partition is in use.
_SFDISK = ("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel")
_SWAP_TYPE = {GPT: "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", MBR: "82"}


class Partition(NamedTuple):
    """*kind* is the type in the table: a GUID in small letters, or a number in hexadecimal."""

    number: int
    start: int
    size: int
    kind: str

    @property
    def end(self) -> int:
        """The first sector behind it."""
        return self.start + self.size


class Table(NamedTuple):
    """*scheme* is :data:`GPT` or :data:`MBR`."""

    scheme: str
    partitions: tuple[Partition, ...]

    def partition(self, number: int) -> Partition | None:
        """The partition *number*, if there is one."""
        return next((each for each in self.partitions if each.number == number), None)


class Swap(NamedTuple):
    """A swap partition to be made at the end of the disk."""

    number: int
    mib: int


class Change(NamedTuple):
    """Give partition *number* this size; one that is *new* is made at *start*."""

    number: int
    start: int
    size: int
    kind: str
    new: bool

    @property
    def tells_kernel(self) -> bool:
        """Whether the kernel is to know: of an extended partition it knows two sectors, whatever its size."""
        return self.kind not in _EXTENDED


class Fix(NamedTuple):
    """What has to be done to a table. *warnings* are for the administrator."""

    changes: tuple[Change, ...]
    warnings: tuple[str, ...]


def parse(text: str) -> Table:
    """The table in the words of ``sfdisk --json``. Raises TaskError for what is no table."""
    try:
        given = json.loads(text)["partitiontable"]
        scheme = given["label"]
        entries = [_entry(entry) for entry in given.get("partitions", [])]
    except (ValueError, KeyError, TypeError) as error:
        raise TaskError("sfdisk did not understand the partition table") from error
    if scheme not in (GPT, MBR):
        raise TaskError(f"the disk has a partition table of the kind {scheme!r}; GPT and MBR are supported")
    if given.get("sectorsize", 512) != 512:
        raise TaskError("the disk has sectors of other than 512 bytes")
    return Table(scheme, tuple(sorted(entries)))


def _entry(entry: dict[str, object]) -> Partition:
    node, start, size, kind = (entry[name] for name in ("node", "start", "size", "type"))
    digits = str(node)[len(str(node).rstrip("0123456789")) :]
    if not isinstance(start, int) or not isinstance(size, int):
        raise TypeError
    return Partition(int(digits), start, size, str(kind).lower())


def command(disk: str, change: Change) -> tuple[list[str], bytes]:
    """The program that writes *change* to the table of *disk*, and its input.

    With a GPT, it moves the second copy to the end of the disk as well.
    """
    if change.new:
        node = f"{disk}{'p' if disk[-1].isdigit() else ''}{change.number}"
        line = f"{node} : start={change.start}, size={change.size}, type={change.kind}\n"
        return [*_SFDISK, "--append", disk], line.encode()
    return [*_SFDISK, "-N", str(change.number), disk], f", {change.size}\n".encode()


def relocation(disk: str) -> list[str]:
    """The program that moves the second copy of a GPT to the end of *disk*."""
    return [*_SFDISK, "--relocate", "gpt-bak-std", disk]


def swap_wanted(text: str) -> Swap | None:
    """The partition that the property SWAP asks for, ``<number>:<MiB>``; None when it is something else.

    Raises TaskError when the numbers make no sense.
    """
    number, colon, mib = text.partition(":")
    if not colon:
        return None
    if not (number.isdecimal() and mib.isdecimal() and 0 < int(number) <= _MOST_NUMBERS and 0 < int(mib) < 1 << 32):
        raise TaskError(f"SWAP={text}: write <number of a partition>:<MiB>, or the letter of a disk")
    return Swap(int(number), int(mib))


def fix(table: Table, sectors: int, root: int, swap: Swap | None) -> Fix:
    """What to do so that partition *root* fills the disk of *sectors*, but for *swap*.

    Raises TaskError when the swap partition has no place.
    """
    limit = (sectors - _TAIL) // ALIGNMENT * ALIGNMENT
    warnings = []
    if table.scheme == MBR and limit > _MBR_LIMIT:
        limit = _MBR_LIMIT // ALIGNMENT * ALIGNMENT
        warnings.append("a table of the kind MBR ends at 2 TiB: the rest of the disk stays unused")
    extended, last = _last(table)
    if last is None:
        raise TaskError("the partition table is empty")
    if table.partition(root) is None:
        raise TaskError(f"there is no partition {root}")
    changes: list[Change] = []
    if swap is not None:
        change = _swap(table, swap, limit, last.end if last != extended else last.start)
        changes.append(change)
        limit = change.start - (_LOGICAL_GAP if swap.number >= _FIRST_LOGICAL and table.scheme == MBR else 0)
    if last.number != root or last == extended:
        warnings.append(f"partition {root} is not the last one of the disk: it keeps its size")
    elif last.size < limit - last.start:
        changes.insert(0, Change(last.number, last.start, limit - last.start, last.kind, new=False))
    if extended is not None and (end := max((change.start + change.size for change in changes), default=0)):
        changes = _within(extended, changes, end)
    return Fix(tuple(changes), tuple(warnings))


def _last(table: Table) -> tuple[Partition | None, Partition | None]:
    """The extended partition, if it is the last primary one, and the last partition that holds something."""
    logical = [each for each in table.partitions if table.scheme == MBR and each.number >= _FIRST_LOGICAL]
    primary = [each for each in table.partitions if each not in logical]
    last = max(primary, key=lambda each: each.end, default=None)
    if last is None or table.scheme != MBR or last.kind not in _EXTENDED:
        return None, last
    return last, max(logical, key=lambda each: each.end, default=last)


def _swap(table: Table, swap: Swap, limit: int, used: int) -> Change:
    """Where the swap partition goes: at the end."""
    if table.partition(swap.number) is not None:
        raise TaskError(f"SWAP={swap.number}:{swap.mib}: there is a partition {swap.number} already")
    logical = table.scheme == MBR and swap.number >= _FIRST_LOGICAL
    if table.scheme == MBR:
        _check_number(table, swap, logical)
    start = limit - swap.mib * _MIB
    if start < used + (_LOGICAL_GAP if logical else 0):
        raise TaskError(f"SWAP={swap.number}:{swap.mib}: the disk has no room for it")
    return Change(swap.number, start, swap.mib * _MIB, _SWAP_TYPE[table.scheme], new=True)


def _check_number(table: Table, swap: Swap, logical: bool) -> None:
    """Logical partitions are numbered without gaps, and need an extended one at the end of the disk."""
    extended, _ = _last(table)
    if logical != (extended is not None):
        kind = "logical" if extended is not None else "primary"
        raise TaskError(f"SWAP={swap.number}:{swap.mib}: the disk ends with {kind} partitions: take a number of theirs")
    following = max((each.number for each in table.partitions), default=0) + 1
    if logical and swap.number != max(following, _FIRST_LOGICAL):
        raise TaskError(f"SWAP={swap.number}:{swap.mib}: the next number is {max(following, _FIRST_LOGICAL)}")


def _within(extended: Partition, changes: list[Change], end: int) -> list[Change]:
    """*changes* of logical partitions, after the extended one that holds them has grown."""
    if extended.end >= end:
        return changes
    return [Change(extended.number, extended.start, end - extended.start, extended.kind, new=False), *changes]
