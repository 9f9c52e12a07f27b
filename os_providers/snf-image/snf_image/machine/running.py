# SPDX-License-Identifier: BSD-2-Clause
"""One run of the helper machine, from its start to its last line."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.process import Server, serving
from snf_image.machine import acceleration, channel, image, verdict
from snf_image.machine.command import KVM, TCG, qemu
from snf_image.machine.disk import MachineDisk as MachineDisk
from snf_image.machine.isolation import account, isolated
from snf_image.machine.wiring import Ends, Wiring, wired
from snf_image_helper.job import NOTHING, Job
from snf_image_helper.lines import WARNING, Line

_EMULATED = "the helper machine is emulated (TCG), as KVM does not work on this node: it takes longer"
_INSTALL = "install qemu-system-x86 and bubblewrap"
_TRY_S = 15.0
_REAP_S = 5.0
# QMP: whoever has said that he knows it may end the machine; what is in the caches of the disks is written then.
_QUIT = b'{"execute": "qmp_capabilities"}\n{"execute": "quit"}\n'
_PIECE = 1 << 16


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


class _Spoken(Exception):
    """The machine that is tried has said something."""


def run_helper(
    job: Job,
    disks: Sequence[MachineDisk],
    settings: MachineSettings,
    on_line: Callable[[Line], None],
    on_console: Callable[[str], None],
    *,
    folder: Path | None = None,
    state: Path | None = None,
) -> None:
    """Have the helper machine do *job* with *disks*; return when it told its success and ended well.

    *on_line* gets what the helper tells as it comes, *on_console* the lines of its console, bounded. Raises CloudError
    with the task and the reason otherwise: a task that failed, silence, a limit, a helper image that is not ours.
    Whatever happens, nothing of the machine is left when this ends. To be called by the main thread.

    The helper image is the one in *folder*, and what was found out about it is kept in *state*: both are where our
    packages have them.
    """
    state = state or image.STATE
    helper = image.verified(folder or image.FOLDER, state)
    machine = _Machine(helper, settings)
    accelerator = acceleration.chosen(settings.accelerator, helper, machine.speaks_under_kvm, state=state)
    if accelerator == TCG and settings.accelerator != TCG:
        on_console(_EMULATED)
    story = verdict.Story()

    def hear(line: Line) -> None:
        story.note(line)
        on_line(line)

    verdict.check(story, machine.run(accelerator, job, disks, hear, on_console))


class _Machine:
    """The machine with its settings, to be run once or twice."""

    def __init__(self, helper: image.HelperImage, settings: MachineSettings) -> None:
        self._helper, self._settings = helper, settings

    def speaks_under_kvm(self) -> bool:
        """Whether a machine without a job says anything, within some seconds."""

        def hear(_line: Line) -> None:
            raise _Spoken

        brief = self._settings._replace(soft_limit_s=int(_TRY_S), hard_limit_s=1)
        try:
            _Machine(self._helper, brief).run(KVM, NOTHING, [], hear, lambda text: None)
        except _Spoken:
            return True
        return False

    def run(
        self,
        accelerator: str,
        job: Job,
        disks: Sequence[MachineDisk],
        on_line: Callable[[Line], None],
        on_console: Callable[[str], None],
    ) -> verdict.Ending:
        """Run it to its end, or to that of its time."""
        given = self._settings
        who = account(given.user, kvm=accelerator == KVM)
        console = channel.Console(on_console)
        port = channel.Port(on_line, lambda text: on_line(Line(WARNING, "", text)))
        with wired(job.encode(), disks) as wiring:
            command = isolated(
                qemu(wiring.wires, accelerator=accelerator, memory_mib=given.memory_mib),
                self._helper,
                who,
                memory_mib=given.memory_mib,
                cpu_limit_s=given.cpu_limit_s,
                kvm=accelerator == KVM,
            )
            with _started(command, wiring, given.soft_limit_s + given.hard_limit_s + 2 * _REAP_S) as server:
                wiring.hand_over()
                return _heard(server, wiring.ends, port, console, given)


def _started(command: list[str], wiring: Wiring, timeout_s: float) -> AbstractContextManager[Server]:
    return serving(
        command,
        timeout_s=timeout_s,
        hint=_INSTALL,
        shown="the helper machine",
        pass_fds=wiring.wires.all,
        stderr_fd=wiring.wires.console,
    )


def _heard(
    server: Server, ends: Ends, port: channel.Port, console: channel.Console, settings: MachineSettings
) -> verdict.Ending:
    """Listen until the machine is gone, or is to be killed because its time is up."""
    feeds = {ends.port: port.feed, ends.console: console.feed, ends.monitor: lambda piece: None}
    with selectors.DefaultSelector() as selector:
        for end, feed in feeds.items():
            selector.register(end, selectors.EVENT_READ, feed)
        limit_s = 0.0
        if not _listen(selector, settings.soft_limit_s):
            limit_s = float(settings.soft_limit_s)
            with suppress(BrokenPipeError, ConnectionResetError):  # it ended this very moment
                ends.monitor.send(_QUIT)
            _listen(selector, settings.hard_limit_s)
    console.end()
    status = None if limit_s else server.ended(_REAP_S)
    return verdict.Ending(status, limit_s, console.last)


def _listen(selector: selectors.BaseSelector, seconds: float) -> bool:
    """Hand on what comes, until everything is closed; False when that is not so after *seconds*."""
    end = time.monotonic() + seconds
    while selector.get_map():
        left = end - time.monotonic()
        if left <= 0:
            return False
        for key, _ in selector.select(left):
            piece = _piece(key.fd)
            if piece:
                key.data(piece)
            else:
                selector.unregister(key.fileobj)
    return True


def _piece(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _PIECE)
    except ConnectionResetError:  # what we said last was not read: it is gone all the same
        return b""
