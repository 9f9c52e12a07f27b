# SPDX-License-Identifier: BSD-2-Clause
"""A move from its first check to the removal of the old volume: look, decide (:mod:`steps`), act, and again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from archipelago import running
from archipelago.migrating import checking, copying, mark, place, record
from archipelago.migrating.mark import Mark
from archipelago.migrating.mirror import Mirror, State
from archipelago.migrating.record import Disk
from archipelago.migrating.side import Side
from archipelago.migrating.steps import Job, Phase, Sight, Step, Vm, decide
from archipelago.running import Running
from archipelago.store import opened
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.qmp import Refused, Unanswered

Say = Callable[[str, float], None]

_POLL_S = 0.5
# A mirror that gets nowhere for so long has a store that does not answer.
_STALL_S = 120.0
# How often QEMU may not go over before that is an error.
_RETREATS = 3

# The steps after which all is done, and what is done then.
_LAST = {Step.FINISH: "moved", Step.UNDO: "undone"}


class Outcome(NamedTuple):
    """Both places of a volume, for a person, and what was *done* about them."""

    volume: str
    instance: str
    old: str
    new: str
    done: str


@contextmanager
def alone(volume: str) -> Iterator[None]:
    """Within the block no other program on this node moves *volume*. Raises StorageError when one does."""
    # A name in the kernel's abstract space: it goes with the process, however that ends.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as guard:
        try:
            guard.bind(f"\0ganeti-cloud.migrate.{volume}")
        except OSError as err:
            raise StorageError(
                f"another program on this node is moving volume {volume}",
                hint="see `ps -ef | grep 'volume migrate'`; one at a time",
            ) from err
        yield


class Move:
    """One move of *volume*: the one that its mark tells of, or a new one *to* a place (see :func:`place.moved`).

    *begun* tells which. Without both it is one that goes nowhere. Raises RequestError when the volume is no disk of an
    instance of this node, or is moving elsewhere.
    """

    def __init__(self, volume: str, to: str | None, say: Say) -> None:
        self.volume = volume
        self.disk = record.find(volume)
        if not record.is_this(self.disk.node):
            raise RequestError(
                f"instance {self.disk.instance} of volume {volume} belongs to {self.disk.node}",
                hint=f"run the command on {self.disk.node}",
            )
        self._say = say
        begun = _begun(volume, self.disk, to)
        self.begun = begun is not None
        self._mark = begun or _planned(self.disk, to)
        self._old = Side(volume, self._mark.old)
        self._new = Side(volume, self._mark.new)
        self._running: Running | None = None
        self._state = State(Job.NONE, 0.0, "")
        self._progress = (-1.0, 0.0)
        self._retreats = 0

    @property
    def needless(self) -> bool:
        """Whether the volume is in the new place, and was when this run began."""
        return not self.begun and self._mark.old == self._mark.new

    def outcome(self, done: str) -> Outcome:
        """What was *done*, as a record."""
        return Outcome(self.volume, self.disk.instance, self._old.shown, self._new.shown, done)

    def check(self, *, without_snapshots: bool) -> None:
        """Raise RequestError, StorageError or ConfigError when a new move could not be carried through."""
        checking.check_old(self._old, without_snapshots=without_snapshots)
        checking.check_new(self._new)
        found = running.find(self.volume)
        if found is None:
            checking.refuse_open(self._old, self.disk.instance)
        else:
            checking.check_running(found, self.volume, self._mirror(found))

    def run(self, *, abort: bool) -> Outcome:
        """Carry the move through, or with *abort* undo it. Raises StorageError when it is too late for that, and what
        else went wrong; then the next run goes on from there."""
        while True:
            step = decide(self._look(), abort=abort)
            if step is Step.TOO_LATE:
                raise StorageError(
                    f"volume {self.volume} has moved to {self._new.shown} already, where the instance writes to",
                    hint="finish the move: run the command without --abort",
                )
            if step is Step.NOTHING:
                return self.outcome("nothing to do")
            self._act(step)
            if step in _LAST:
                return self.outcome(_LAST[step])

    def _look(self) -> Sight:
        phase = self._mark.phase if self.begun else None
        self._running = running.find(self.volume)
        self._state = State(Job.NONE, 0.0, "")
        if self._running is None:
            return Sight(phase, Vm.ABSENT, Job.NONE)
        mirror = self._vm()
        try:
            self._state = mirror.state()
            drive = mirror.drive()
        except Unanswered:
            time.sleep(_POLL_S)
            self._running = running.find(self.volume)
            if self._running is None:
                return Sight(phase, Vm.ABSENT, Job.NONE)
            raise
        on_new = drive.node.startswith(mirror.name) or self._only_new_open(self._running)
        return Sight(phase, Vm.ON_NEW if on_new else Vm.ON_OLD, self._state.job)

    def _only_new_open(self, found: Running) -> bool:
        """Whether QEMU has the new device open and not the old one. Its own word for what it opened may be the link of
        Ganeti, which may have led elsewhere then."""
        devices = running.opened_devices(found.pid)
        return self._new.device() in devices and self._old.device() not in devices

    def _act(self, step: Step) -> None:
        actions: dict[Step, Callable[[], None]] = {
            Step.BEGIN: self._begin,
            Step.START: self._start,
            Step.WAIT: self._wait,
            Step.ARM: self._arm,
            Step.SWITCH: self._switch,
            Step.COMPLETE: self._complete,
            Step.COPY: self._copy,
            Step.CONFIRM: self._confirm,
            Step.FINISH: self._finish,
            Step.RETREAT: self._retreat,
            Step.UNDO: self._undo,
            Step.FAIL: self._fail,
        }
        actions[step]()

    def _begin(self) -> None:
        self._write(Phase.COPYING)
        if self._running is None:
            # From here on none is opened any more. One that was opened between the check and the mark shows now.
            try:
                checking.refuse_open(self._old, self.disk.instance)
            except RequestError:
                self._old.set_mark("")
                raise

    def _start(self) -> None:
        self._prepare()
        self._vm().start()

    def _prepare(self) -> None:
        """Make the new volume, marked and open here, whatever of that is there already."""
        with self._old.store() as store:
            volume = store.describe(self.volume)
        with self._new.store() as store:
            if self.volume in store.names() and store.describe(self.volume).size != volume.size:
                self._new.detach()
                store.remove(self.volume)
            if self.volume not in store.names():
                store.create(self.volume, volume.size, None, volume.cluster)
            store.set_moving(self.volume, self._mark._replace(side="new").encode())
            store.set_metadata(self.volume, f"{_OWNER}{self.disk.instance}")
        self._new.attach()
        self._new.open()

    def _wait(self) -> None:
        self._say("copying", self._state.percent)
        now = time.monotonic()
        if self._state.percent != self._progress[0]:
            self._progress = (self._state.percent, now)
        elif now - self._progress[1] > _STALL_S:
            raise StorageError(
                f"QEMU has copied nothing of volume {self.volume} for {_STALL_S:g} s",
                hint="one of the two stores does not answer; run the command again when it does, or with --abort",
            )
        time.sleep(_POLL_S)

    def _arm(self) -> None:
        self._vm().arm()
        time.sleep(_POLL_S / 10)

    def _switch(self) -> None:
        self._write(Phase.SWITCHING)

    def _complete(self) -> None:
        # Before QEMU goes over: one that Ganeti starts anew after this follows the link, and both devices are alike.
        self._link(self._new)
        try:
            self._vm().complete()
        except Refused:
            pass  # the job failed at this moment, or had been told already: the next look tells
        self._say("copying", 100.0)

    def _copy(self) -> None:
        # Whoever had it open and did not close it died, and must not write while it is copied.
        old = self._old.attach()
        self._old.open()
        self._prepare()
        copying.copy(old, self._new.attach(), lambda percent: self._say("copying", percent))
        # Ganeti may have been about to start the instance when the mark was set.
        if running.find(self.volume) is None:
            self._confirm()

    def _confirm(self) -> None:
        if self._running is not None:
            self._link(self._new)
        self._write(Phase.MOVED)
        self._new.set_mark(self._mark._replace(side="new").encode())

    def _finish(self) -> None:
        if self._running is not None:
            self._vm().settle()
            self._link(self._new)
        record.change(self.disk, place.changes(self.disk.parameters, self._mark.new))
        self._old.detach()
        # A node that was cut off must not write to the new place either; and what was closed with the old was both.
        self._new.open()
        if self._running is None:
            self._new.detach()
        with self._old.store() as store:
            store.drop_strangers(self.volume)
            store.remove(self.volume)
        self._new.set_mark("")

    def _retreat(self) -> None:
        """Back to copying, unless QEMU goes over at this moment."""
        self._vm().cancel()
        if self._look().vm is Vm.ON_OLD:
            self._link(self._old)
            self._write(Phase.COPYING)
            self._retreats += 1
            if self._retreats == _RETREATS:
                self._state = State(Job.FAILED, 0.0, "it does not go over to the new place")
                self._fail()

    def _undo(self) -> None:
        if self._running is not None:
            self._vm().cancel()
            self._link(self._old)
        self._new.detach()
        with self._new.store() as store:
            store.remove(self.volume)
        if self._running is None:
            self._old.detach()
        else:
            self._old.open()
        self._old.set_mark("")

    def _fail(self) -> None:
        error = self._state.error
        self._undo()
        raise StorageError(
            f"QEMU could not copy volume {self.volume}: {error}",
            hint="the instance goes on at the old place, and nothing is left in the new one",
        )

    def _write(self, phase: Phase) -> None:
        """Put the mark with *phase* beside the old volume."""
        self._mark = self._mark._replace(side="old", phase=phase)
        self._old.set_mark(self._mark.encode())
        self.begun = True

    def _link(self, side: Side) -> None:
        assert self._running is not None
        side.lead(self._running.link)

    def _vm(self) -> Mirror:
        assert self._running is not None
        return self._mirror(self._running)

    def _mirror(self, found: Running) -> Mirror:
        return Mirror(found, self._mark.token, self._old.device(), self._new.device())


# What Ganeti puts before the name of the instance when it tells a provider whose a volume is.
_OWNER = "originstname+"


def _begun(volume: str, disk: Disk, to: str | None) -> Mark | None:
    """The move that an earlier run began. Raises RequestError when that is to another place than *to*."""
    with opened(place.at(disk.parameters)) as store:
        store.require(volume)
        found = mark.of(store, volume)
    if found is not None and found.side == "new":
        # The old one decides, as long as it is there.
        with opened(place.at(found.old)) as store:
            found = mark.of(store, volume) or found
    if found is not None and to is not None and place.explicit(place.moved(found.old, to)) != found.new:
        raise RequestError(
            f"volume {volume} is being moved to {place.shown(found.new, volume)} already",
            hint="run the command without --to to finish that, or with --abort to undo it",
        )
    return found


def _planned(disk: Disk, to: str | None) -> Mark:
    """A new move; without *to* one that goes nowhere."""
    wanted = disk.parameters if to is None else place.moved(disk.parameters, to)
    return Mark(
        side="old",
        phase=Phase.COPYING,
        token=os.urandom(4).hex(),
        host=os.uname().nodename,
        old=place.explicit(disk.parameters),
        new=place.explicit(wanted),
    )
