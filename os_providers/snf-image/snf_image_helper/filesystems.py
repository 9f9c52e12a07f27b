# SPDX-License-Identifier: BSD-2-Clause
"""What is on the disks, in blkid's words."""

from __future__ import annotations

from collections.abc import Sequence

from snf_image_helper.records import NamedTuple
from snf_image_helper.task import Run

EXT = ("ext2", "ext3", "ext4")
LVM = "LVM2_member"
# blkid(8): nothing was found.
_NOTHING = 2


class Device(NamedTuple):
    """A device and the file system on it; what is not known is empty."""

    path: str
    filesystem: str
    uuid: str = ""
    label: str = ""
    partition_uuid: str = ""
    partition_label: str = ""
    table: str = ""


def probe(run: Run, paths: Sequence[str]) -> tuple[Device, ...]:
    """What is on each of *paths*; one with nothing on it is left out."""
    if not paths:
        return ()
    text = run(["blkid", "-c", "/dev/null", "-o", "export", *paths], allowed=(0, _NOTHING))
    return parse(text)


def parse(text: str) -> tuple[Device, ...]:
    """What ``blkid -o export`` says."""
    return tuple(_device(block) for block in text.split("\n\n") if block.strip())


def _device(block: str) -> Device:
    given = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    return Device(
        path=given.get("DEVNAME", ""),
        filesystem=given.get("TYPE", ""),
        uuid=_plain(given.get("UUID", "")),
        label=_plain(given.get("LABEL", "")),
        partition_uuid=given.get("PARTUUID", ""),
        partition_label=_plain(given.get("PARTLABEL", "")),
        table=given.get("PTTYPE", ""),
    )


def _plain(text: str) -> str:
    """blkid writes a backslash in front of what a shell would take for its own."""
    letters = iter(text)
    return "".join(next(letters, "") if letter == "\\" else letter for letter in letters)
