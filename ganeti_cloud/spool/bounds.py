# SPDX-License-Identifier: BSD-2-Clause
"""How much may be in a spool: decisions about the record that the folder keeps of itself."""

from __future__ import annotations

from typing import NamedTuple

from ganeti_cloud.errors import CloudError

# Nobody empties the spool when there is so much: more would only fill the disk.
MOST_FILES = 20_000
MOST_BYTES = 256 << 20
# How much of it is for those who can wait. The rest is for those whose event is lost otherwise.
_PATIENT_SHARE = 0.75
# How often a folder is counted that seems to be full.
_COUNT_PAUSE_NS = 1_000_000_000


class SpoolFull(CloudError):
    """There is no room for an event in the spool. The loss is counted there."""

    def __init__(self, folder: object, reason: str) -> None:
        super().__init__(
            f"{folder} takes no more events: {reason}",
            hint="see with 'ganeti-eventd status' why they are not published, and with df(1) whether the disk is full",
        )


class Record(NamedTuple):
    """What a spool keeps of itself.

    *last* is the highest number that was given away in the boot *boot*. *files* and *size* are what would be in the
    folder if nothing had been taken out since it was counted, at *counted_ns* of the clock CLOCK_BOOTTIME.
    """

    boot: str
    last: int
    lost: int
    files: int
    size: int
    counted_ns: int


def counting_is_due(record: Record, files: int, size: int, now_ns: int) -> bool:
    """Whether the folder has to be counted to know if *files* more of *size* bytes have room."""
    over = record.files + files > MOST_FILES * _PATIENT_SHARE or record.size + size > MOST_BYTES * _PATIENT_SHARE
    return over and not 0 <= now_ns - record.counted_ns < _COUNT_PAUSE_NS


def fits_in(record: Record, files: int, size: int, *, patient: bool) -> bool:
    """Whether *files* more of *size* bytes have room; for who can wait, a part of it is not there."""
    share = _PATIENT_SHARE if patient else 1.0
    return record.files + files <= MOST_FILES * share and record.size + size <= MOST_BYTES * share
