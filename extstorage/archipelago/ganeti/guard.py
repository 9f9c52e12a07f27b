# SPDX-License-Identifier: BSD-2-Clause
"""What must not be done behind Ganeti's back."""

from __future__ import annotations

from archipelago.ganeti.usage import DETACHED, Usage, asked
from archipelago.parameters import Settings
from ganeti_cloud.errors import GanetiError, RequestError


def refuse_disk(settings: Settings, volume: str) -> None:
    """Raise RequestError when *volume* is a disk of Ganeti, or when nobody can tell whether it is."""
    try:
        usage = asked(settings)
    except GanetiError as err:
        raise RequestError(
            f"whether volume {volume} is a disk of an instance cannot be said here: {err}",
            hint="run the command on the master node, or with --force when you know that it is none",
        ) from err
    refuse(usage, volume)


def refuse(usage: Usage, volume: str) -> None:
    """Raise RequestError when by *usage* the volume is a disk, or may be one."""
    if volume in usage.disks:
        instance = usage.disks[volume]
        whose = "a disk that is detached from its instance" if instance == DETACHED else f"a disk of {instance}"
        raise RequestError(
            f"volume {volume} is {whose}",
            hint="let Ganeti do it (`gnt-instance modify --disk`, `gnt-instance remove`), or use --force",
        )
    if not usage.complete:
        raise RequestError(
            f"whether volume {volume} is a disk that is detached from its instance cannot be seen from this node",
            hint="run the command on the master node, or with --force when you know that it is none",
        )
