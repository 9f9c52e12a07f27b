# SPDX-License-Identifier: BSD-2-Clause
"""A deployment: the image onto the disk, where it is not there yet, and then the helper machine adapts it."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Protocol

from ganeti_cloud.imagefile import temporary
from ganeti_cloud.imagefile.fetching import fetched
from snf_image import copying, jobs, opening, targets
from snf_image import wanted as wanting
from snf_image.catalogue import Entry
from snf_image.machine.running import MachineDisk, MachineSettings
from snf_image.request import Request
from snf_image.settings import Settings
from snf_image.sources import Null
from snf_image.targets import Target
from snf_image.telling import Teller
from snf_image.wanted import Wanted
from snf_image_helper.job import Job
from snf_image_helper.lines import Line

_ANSWER_FILE = 1 << 20


class RunHelper(Protocol):
    """See :func:`snf_image.machine.running.run_helper`."""

    def __call__(
        self,
        job: Job,
        disks: Sequence[MachineDisk],
        settings: MachineSettings,
        on_line: Callable[[Line], None],
        on_console: Callable[[str], None],
    ) -> None: ...


class Plan(NamedTuple):
    """All that was found out before a disk is touched. No *job*: no helper machine."""

    request: Request
    settings: Settings
    wanted: Wanted
    entry: Entry | None
    job: Job | None


def plan(request: Request, settings: Settings, teller: Teller) -> Plan:
    """What is to be done for *request*. Raises CloudError for whatever can be seen to be wrong with it."""
    wanted = wanting.parse(request.parameters, settings)
    teller.secrets = wanted.secrets
    entry = opening.look(wanted, settings)
    found = jobs.merged(wanted, {} if entry is None else entry.properties, settings)
    job = jobs.build(wanted, request, settings, found, _answer_file(wanted))
    return Plan(request, settings, wanted, entry, job)


def _answer_file(wanted: Wanted) -> str:
    """The text of the answer file for Windows; empty without one."""
    if not wanted.answer_file_url:
        return ""
    with fetched(wanted.answer_file_url, None, _ANSWER_FILE, lambda _phase, _percent: None) as path:
        raw = path.read_bytes()
        # Windows' own editors write UTF-16 with a byte order mark.
        utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return raw.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def carry_out(plan: Plan, teller: Teller, run_helper: RunHelper) -> None:
    """Do what *plan* says. Raises CloudError; whatever happens, nothing of it runs or lies about afterwards."""
    copies = not isinstance(plan.wanted.source, Null)
    if plan.request.reinstall and not copies:
        teller.info("Reinstallation without an image (img_id=null): the disk keeps its content and is adapted again")
    if not copies and plan.job is None:
        teller.info("Nothing to copy and every task left out: the disk stays as it is")
        return
    with temporary.folder() as folder, ExitStack() as stack:
        # Without the helper machine only the first disk is needed.
        disks = plan.request.disks if plan.job is not None else plan.request.disks[:1]
        opened = [
            stack.enter_context(targets.opened(disk, plan.request.cache, folder / f"disk{index}"))
            for index, disk in enumerate(disks)
        ]
        if copies:
            inner = folder / "source"
            inner.mkdir()
            with opening.opened(plan.wanted, plan.entry, plan.settings, inner, _phases(teller)) as image:
                _copy(image, opened[0], plan.settings, teller)
        if plan.job is None:
            teller.info("Every task is left out: no customization VM is started")
            return
        teller.info("Starting customization VM...")
        machines = [target.machine for target in opened]
        run_helper(plan.job, machines, plan.settings.machine, teller.line, teller.console)
        teller.info("Customization VM finished successfully.")


def _copy(image: opening.Image, target: Target, settings: Settings, teller: Teller) -> None:
    teller.info(f"Starting image copy of {image.shown}...")
    copying.copy(image, target, settings.copy_limit_s, lambda position: teller.copied(position, image.size))
    teller.info("Image copy finished.")


def _phases(teller: Teller) -> opening.Progress:
    """What tells of each phase before the copy once."""
    seen: set[str] = set()

    def tell(phase: str, _percent: float) -> None:
        if phase not in seen:
            seen.add(phase)
            teller.info(f"The image is not ready to be copied yet: {phase}")

    return tell
