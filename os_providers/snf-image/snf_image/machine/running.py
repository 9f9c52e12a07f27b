# SPDX-License-Identifier: BSD-2-Clause
"""One run of the helper machine, from its start to its last line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from snf_image_helper.job import Job
from snf_image_helper.lines import Line


class MachineDisk(NamedTuple):
    """A disk of the instance: a block device or raw file at *path*, or a unix socket of an NBD server at *socket*.

    Exactly one of the two is not empty. *cache* is the instance's own ``disk_cache`` (default, none, writeback,
    writethrough), so that what the guest finds later is what was written here.
    """

    path: str
    socket: str
    cache: str


class MachineSettings(NamedTuple):
    """*accelerator* is auto, kvm or tcg. *cpu_limit_s* is of processor time.

    After *soft_limit_s* the machine is asked to end, and *hard_limit_s* later it is killed.
    """

    accelerator: str
    memory_mib: int
    cpu_limit_s: int
    soft_limit_s: int
    hard_limit_s: int
    user: str


def run_helper(
    job: Job,
    disks: Sequence[MachineDisk],
    settings: MachineSettings,
    on_line: Callable[[Line], None],
    on_console: Callable[[str], None],
) -> None:
    """Have the helper machine do *job* with *disks*; return when it told its success and ended well.

    *on_line* gets what the helper tells as it comes, *on_console* the lines of its console, bounded. Raises CloudError
    with the task and the reason otherwise: a task that failed, silence, a limit, a helper image that is not ours.
    Whatever happens, nothing of the machine is left when this ends.
    """
    raise NotImplementedError
