# SPDX-License-Identifier: BSD-2-Clause
"""A move from its first check to the removal of the old volume: look, decide (:mod:`steps`), act, and again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from archipelago import attaching, opening, running
from archipelago.mapping import choosing
from archipelago.migrating import copying, mark, place, record
from archipelago.migrating.mark import Mark
from archipelago.migrating.mirror import Mirror, State
from archipelago.migrating.steps import Job, Phase, Sight, Step, Vm, decide
from archipelago.parameters import Settings
from archipelago.running import Running
from archipelago.store import opened
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.qmp import Refused, Unanswered
from ganeti_cloud.volume import Attachment

Say = Callable[[str, float], None]

_POLL_S = 0.5
# A mirror that gets nowhere for so long has a store that does not answer.
_STALL_S = 120.0


class Outcome(NamedTuple):
    """Where the volume is now, and whether this run brought it there. The places are as :func:`place.shown`."""

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
    """One move of *volume*, either a new one *to* a place (see :func:`place.moved`) or the one that its mark tells of.

    Raises RequestError when there is nothing to move, or not here.
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
        found = self._found(to)
        self.begun = found is not None
        self._mark = found or self._planned(to)
        self._old = place.at(self._mark.old)
        self._new = place.at(self._mark.new)
        self._running: Running | None = None
        self._state = State(Job.NONE, 0.0, "")
        self._progress = (-1.0, 0.0)

    @property
    def places(self) -> tuple[str, str]:
        """The old and the new place, for a person."""
        return place.shown(self._mark.old, self.volume), place.shown(self._mark.new, self.volume)

    @property
    def needless(self) -> bool:
        """Whether the volume is in the new place, and was when this run began."""
        return not self.begun and self._mark.old == self._mark.new

    def _found(self, to: str | None) -> Mark | None:
        """The move that an earlier run began."""
        with opened(place.at(self.disk.parameters)) as store:
            store.require(self.volume)
            found = mark.of(store, self.volume)
        if found is not None and found.side == "new":
            # The old one decides, as long as it is there.
            with opened(place.at(found.old)) as store:
                found = mark.of(store, self.volume) or found
        if found is not None and to is not None and place.explicit(place.moved(found.old, to)) != found.new:
            raise RequestError(
                f"volume {self.volume} is being moved to {place.shown(found.new, self.volume)} already",
                hint="run the command without --to to finish that, or with --abort to undo it",
            )
        return found

    def _planned(self, to: str | None) -> Mark:
        if to is None:
            raise RequestError(
                f"volume {self.volume} is not being moved", hint="--to PLACE begins a move; there is nothing to finish"
            )
        return Mark(
            side="old",
            phase=Phase.COPYING,
            token=os.urandom(4).hex(),
            host=os.uname().nodename,
            old=place.explicit(self.disk.parameters),
            new=place.explicit(place.moved(self.disk.parameters, to)),
        )

    # -- checks

    def check(self, *, without_snapshots: bool) -> None:
        """Raise RequestError, StorageError or ConfigError when a new move could not be carried through."""
        with opened(self._old) as store:
            volume = store.describe(self.volume)
        if volume.snapshots and not without_snapshots:
            raise RequestError(
                f"volume {self.volume} has snapshots, which cannot move: {', '.join(volume.snapshots)}",
                hint="with --without-snapshots they go to the trash with the old volume; see `archipelago trash list`",
            )
        with opened(self._new) as store:
            store.check()
            if self.volume in store.names():
                raise RequestError(
                    f"there is a volume {self.volume} in {self.places[1]} already",
                    hint="if nobody needs it, remove it with `archipelago volume remove`, and try again",
                )
        found = running.find(self.volume)
        if found is None:
            self._refuse_open()
            return
        if found.access != "kernelspace":
            raise RequestError(
                f"QEMU of {found.instance} opens volume {self.volume} by itself (access={found.access})",
                hint="stop the instance for the move",
            )
        self._mirror(found).refuse_busy()
        self._mirror(found).drive()

    def _refuse_open(self) -> None:
        """Raise RequestError when a node has the volume of a stopped instance open: Ganeti is about to start it."""
        with opened(self._old) as store:
            hosts = [each.host for each in store.openings(self.volume)]
        if hosts:
            raise RequestError(
                f"the instance does not run, but volume {self.volume} is open on {', '.join(hosts)}",
                hint=f"run `gnt-instance deactivate-disks {self.disk.instance}`, or start the instance",
            )

    # -- the loop

    def run(self, *, abort: bool) -> Outcome:
        """Carry the move through, or with *abort* undo it. Raises StorageError when it is too late for that, and what
        else went wrong; then the next run goes on from there."""
        while True:
            sight = self._look()
            step = decide(sight, abort=abort)
            if step in (Step.NOTHING, Step.TOO_LATE):
                raise StorageError(
                    f"volume {self.volume} has moved to {self.places[1]} already, where the instance writes to",
                    hint="finish the move: run the command without --abort",
                )
            self._act(step)
            if step in _LAST:
                return self.outcome(_LAST[step])

    def outcome(self, done: str) -> Outcome:
        """What was *done*, as a record."""
        return Outcome(self.volume, self.disk.instance, *self.places, done)

    def _look(self) -> Sight:
        self._running = running.find(self.volume)
        self._state = State(Job.NONE, 0.0, "")
        phase = self._mark.phase if self.begun else None
        if self._running is None:
            return Sight(phase, Vm.ABSENT, Job.NONE)
        mirror = self._mirror(self._running)
        try:
            self._state = mirror.state()
            drive = mirror.drive()
        except Unanswered:
            time.sleep(_POLL_S)
            if running.find(self.volume) is None:
                return Sight(phase, Vm.ABSENT, Job.NONE)
            raise
        on_new = drive.node.startswith(mirror.name) or self._only_new_open(self._running)
        return Sight(phase, Vm.ON_NEW if on_new else Vm.ON_OLD, self._state.job)

    def _only_new_open(self, found: Running) -> bool:
        """Whether QEMU has the new device open and not the old one. Its own word for what it opened may be the link of
        Ganeti, which may have led elsewhere then."""
        devices = running.opened_devices(found.pid)
        old, new = self._device(self._old), self._device(self._new)
        return new is not None and new in devices and old not in devices

    def _act(self, step: Step) -> None:
        match step:
            case Step.BEGIN:
                self._begin()
            case Step.START:
                self._prepare()
                self._vm().start()
            case Step.WAIT:
                self._wait()
            case Step.ARM:
                self._vm().arm()
                time.sleep(_POLL_S / 10)
            case Step.SWITCH:
                self._write(Phase.SWITCHING)
            case Step.COMPLETE:
                self._complete()
            case Step.COPY:
                self._copy()
            case Step.CONFIRM:
                self._confirm()
            case Step.FINISH:
                self._finish()
            case Step.RETREAT:
                self._retreat()
            case Step.UNDO:
                self._undo()
            case Step.FAIL:
                error = self._state.error
                self._undo()
                raise StorageError(
                    f"QEMU could not copy volume {self.volume}: {error}",
                    hint="the instance goes on at the old place, and nothing is left in the new one",
                )
            case _:
                raise AssertionError(step)

    # -- the steps

    def _begin(self) -> None:
        self._write(Phase.COPYING)
        if self._running is None:
            # From here on none is opened any more. One that was opened between the check and the mark shows now.
            try:
                self._refuse_open()
            except RequestError:
                with opened(self._old) as store:
                    store.set_moving(self.volume, "")
                raise

    def _prepare(self) -> None:
        """Make the new volume, marked and attached here, whatever of that is there already."""
        with opened(self._old) as store:
            volume = store.describe(self.volume)
        with opened(self._new) as store:
            if self.volume in store.names() and store.describe(self.volume).size != volume.size:
                self._detach(self._new)
                store.remove(self.volume)
            if self.volume not in store.names():
                store.create(self.volume, volume.size, None, volume.cluster)
            store.set_moving(self.volume, self._mark._replace(side="new").encode())
            store.set_metadata(self.volume, f"originstname+{self.disk.instance}")
        self._attach(self._new)
        self._open(self._new)

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
        old = self._attach(self._old)
        self._open(self._old)
        self._prepare()
        copying.copy(old, self._attach(self._new), lambda percent: self._say("copying", percent))
        # Ganeti may have been about to start the instance when the mark was set.
        if running.find(self.volume) is None:
            self._confirm()

    def _confirm(self) -> None:
        if self._running is not None:
            self._link(self._new)
        self._write(Phase.MOVED)
        with opened(self._new) as store:
            store.set_moving(self.volume, self._mark._replace(side="new").encode())

    def _finish(self) -> None:
        if self._running is not None:
            self._vm().settle()
            self._link(self._new)
        record.change(self.disk, place.changes(self.disk.parameters, self._mark.new))
        self._detach(self._old)
        # A node that was cut off must not write to the new place either; and what was closed with the old was both.
        self._open(self._new)
        if self._running is None:
            self._detach(self._new)
        with opened(self._old) as store:
            store.drop_strangers(self.volume)
            store.remove(self.volume)
        with opened(self._new) as store:
            store.set_moving(self.volume, "")

    def _retreat(self) -> None:
        """Back to copying, unless QEMU goes over at this moment."""
        self._vm().cancel()
        if self._look().vm is not Vm.ON_OLD:
            return
        self._link(self._old)
        self._write(Phase.COPYING)

    def _undo(self) -> None:
        if self._running is not None:
            self._vm().cancel()
            self._link(self._old)
        self._detach(self._new)
        with opened(self._new) as store:
            store.remove(self.volume)
        if self._running is None:
            self._detach(self._old)
        else:
            self._open(self._old)
        with opened(self._old) as store:
            store.set_moving(self.volume, "")

    # -- the hands

    def _write(self, phase: Phase) -> None:
        """Put the mark with *phase* beside the old volume, if that is still there."""
        self._mark = self._mark._replace(side="old", phase=phase)
        with opened(self._old) as store:
            store.set_moving(self.volume, self._mark.encode())
        self.begun = True

    def _vm(self) -> Mirror:
        assert self._running is not None
        return self._mirror(self._running)

    def _mirror(self, found: Running) -> Mirror:
        return Mirror(found, self._mark.token, self._device(self._old), self._device(self._new))

    def _device(self, settings: Settings) -> str | None:
        mapped = choosing.find(settings, self.volume)
        return None if mapped is None else mapped.device

    def _attach(self, settings: Settings) -> str:
        """The device of the volume in the place of *settings*, made if need be."""
        device = Attachment.decode(attaching.attach(self.volume, settings, {})).device
        if device is None:
            raise StorageError(
                f"this node has no block device for volume {self.volume} in {settings.driver}:{settings.pool}",
                hint="see [attach] map in archipelago.toml(5)",
            )
        return device

    def _open(self, settings: Settings) -> None:
        opening.open_volume(self.volume, settings, exclusive=True)

    def _detach(self, settings: Settings) -> None:
        attaching.detach(self.volume, settings)

    def _link(self, settings: Settings) -> None:
        """Let Ganeti's link of the disk lead to the device in the place of *settings*, in one step."""
        assert self._running is not None
        device, link = self._device(settings), self._running.link
        assert device is not None
        if os.path.islink(link) and os.readlink(link) == device:
            return
        temporary = f"{link}.new"
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        os.symlink(device, temporary)
        os.replace(temporary, link)


# The steps after which all is done, and what is done then.
_LAST = {Step.FINISH: "moved", Step.UNDO: "undone"}
