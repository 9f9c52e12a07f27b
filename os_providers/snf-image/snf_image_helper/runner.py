# SPDX-License-Identifier: BSD-2-Clause
"""One run: the tasks one after the other, each told when it starts and ends, until all are done or one has failed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Sequence

from snf_image_helper import detect, lines, mounting, plan
from snf_image_helper.channel import Channel
from snf_image_helper.job import Job
from snf_image_helper.task import Run, TaskError, Work

# What comes before the tasks has a name as well, so that its failure is somebody's.
DETECT = "DetectSystem"


class Runner:
    """Runs *job* on *disks*, and tells of it on *channel*."""

    def __init__(self, channel: Channel, run: Run) -> None:
        self._channel, self._run = channel, run
        self._task = ""

    def deploy(self, job: Job, disks: Sequence[str]) -> None:
        """Do it all. Raises nothing: the last line tells how it ended."""
        work = Work(job, disks, self._run, self._warn)
        try:
            self._step(DETECT, lambda: detect.detect(work))
            for step in plan.steps(work):
                if not step.idle(work):
                    self._step(step.name, lambda step=step: _load(step.module)(work))  # type: ignore[misc]
            self._task = ""
            self._settle(work)
            self._channel.tell(lines.SUCCESS)
        except BaseException as error:  # noqa: BLE001 - process 1 has nobody else who would hear of it
            self.failed(error)
            self._give_up(work)

    def failed(self, error: BaseException) -> None:
        """Tell that the run ended here, for the reason in *error*."""
        self._channel.tell(lines.ERROR, self._task, reason(error))

    def _warn(self, text: str) -> None:
        self._channel.tell(lines.WARNING, self._task, text)

    def _step(self, name: str, work: Callable[[], None]) -> None:
        self._task = name
        self._channel.tell(lines.START, name)
        work()
        self._channel.tell(lines.END, name)

    def _settle(self, work: Work) -> None:
        """Nothing is told to be done before it is on the disks."""
        mounting.unmount_all(work)
        for disk in work.disks:
            _flush(disk)

    def _give_up(self, work: Work) -> None:
        try:
            mounting.unmount_all(work)
        except (TaskError, OSError) as error:
            sys.stderr.write(f"{reason(error)}\n")


def _load(module: str) -> Callable[[Work], None]:
    """The task in *module*, which is imported only now: an emulated processor takes its time for each."""
    run: Callable[[Work], None] = importlib.import_module(f"snf_image_helper.tasks.{module}").run
    return run


def _flush(disk: str) -> None:
    """Have *disk* keep what was written; an error of writing that nobody saw is raised as OSError."""
    fd = os.open(disk, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def reason(error: BaseException) -> str:
    """What the administrator reads. Of what nobody foresaw only the place is told: its words may hold a secret."""
    if isinstance(error, TaskError):
        return str(error)
    if isinstance(error, OSError):
        place = str(error.filename or "").removeprefix(mounting.ROOT)
        return f"{place}: {error.strerror}" if place else str(error.strerror or error)
    at, place = error.__traceback__, ""
    while at is not None:
        place = f"{os.path.basename(at.tb_frame.f_code.co_filename)}, line {at.tb_lineno}"
        sys.stderr.write(f"{place}\n")
        at = at.tb_next
    return f"a fault of the helper machine: {type(error).__name__} in {place}"
