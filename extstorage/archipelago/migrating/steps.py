# SPDX-License-Identifier: BSD-2-Clause
"""What to do next with a move: decided from what is seen, and from nothing that is remembered."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Phase(StrEnum):
    """What the mark beside the old volume says. None of it, and there is no move."""

    COPYING = "copying"  # the old place is the truth; the new one may be anything
    SWITCHING = "switching"  # both hold everything; the new one is the truth unless a QEMU still runs on the old one
    MOVED = "moved"  # the new place is the truth


class Vm(StrEnum):
    """The QEMU of this node that runs on the volume, by the place that the guest's writes go to."""

    ABSENT = "absent"
    ON_OLD = "on old"
    ON_NEW = "on new"


class Job(StrEnum):
    """QEMU's mirror job."""

    NONE = "none"
    COPYING = "copying"
    READY = "ready"  # it keeps up with the guest, some writes behind
    SYNCED = "synced"  # a write of the guest ends when both places have it
    FAILED = "failed"


class Sight(NamedTuple):
    """All that the decision depends on. *phase* is None where there is no mark."""

    phase: Phase | None
    vm: Vm
    job: Job


class Step(StrEnum):
    """What is to be done; each can be repeated after it was interrupted anywhere."""

    BEGIN = "begin"  # mark the old volume
    START = "start"  # make the new volume, and have QEMU mirror to it
    WAIT = "wait"
    ARM = "arm"  # from now on let writes wait for both places
    SWITCH = "switch"  # note that both hold everything
    COMPLETE = "complete"  # have QEMU go over
    COPY = "copy"  # without QEMU: copy, and note that all is in the new place
    CONFIRM = "confirm"  # note that the new place is the truth
    FINISH = "finish"  # tell Ganeti, and clear the old place away
    RETREAT = "retreat"  # back to copying: QEMU did not go over
    UNDO = "undo"  # clear the new place away
    FAIL = "fail"  # the same, and say that the copying failed
    TOO_LATE = "too late"
    NOTHING = "nothing"


# Where the guest is, or was last, on the old place.
_COPYING = {
    Job.NONE: Step.START,
    Job.COPYING: Step.WAIT,
    Job.READY: Step.ARM,
    Job.SYNCED: Step.SWITCH,
    Job.FAILED: Step.FAIL,
}


def decide(sight: Sight, *, abort: bool) -> Step:
    """The next step towards the new place, or with *abort* back to the old one."""
    match sight.phase:
        case None:
            return Step.NOTHING if abort else Step.BEGIN
        case Phase.MOVED:
            return Step.TOO_LATE if abort else Step.FINISH
        case Phase.SWITCHING if sight.vm is not Vm.ON_OLD:
            return Step.CONFIRM
        case Phase.SWITCHING:
            return Step.COMPLETE if sight.job is Job.SYNCED and not abort else Step.RETREAT
        case Phase.COPYING if abort:
            return Step.UNDO
        case Phase.COPYING if sight.vm is Vm.ABSENT:
            return Step.COPY
    return _COPYING[sight.job]
