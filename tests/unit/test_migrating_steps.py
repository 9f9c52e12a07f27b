# SPDX-License-Identifier: BSD-2-Clause
"""The decision of a move: whatever is found, it ends at the old place or at the new one, and loses no write."""

from __future__ import annotations

import itertools

import pytest

from archipelago.migrating.steps import Job, Phase, Sight, Step, Vm, decide

SIGHTS = [
    Sight(phase, vm, job)
    for phase, vm, job in itertools.product((None, *Phase), Vm, Job)
    if vm is not Vm.ABSENT or job is Job.NONE
]


def undisturbed(sight: Sight, step: Step) -> Sight:
    """What is seen after *step* was done and nothing went wrong."""
    match step:
        case Step.BEGIN:
            return sight._replace(phase=Phase.COPYING)
        case Step.START:
            return sight._replace(job=Job.COPYING)
        case Step.WAIT:
            return sight._replace(job=Job.READY)
        case Step.ARM:
            return sight._replace(job=Job.SYNCED)
        case Step.SWITCH:
            return sight._replace(phase=Phase.SWITCHING)
        case Step.COMPLETE:
            return sight._replace(vm=Vm.ON_NEW, job=Job.NONE)
        case Step.RETREAT:
            return sight._replace(phase=Phase.COPYING, job=Job.NONE)
        case Step.COPY | Step.CONFIRM:
            return sight._replace(phase=Phase.MOVED)
    return sight


ENDS = {Step.FINISH, Step.UNDO, Step.FAIL, Step.TOO_LATE, Step.NOTHING}


@pytest.mark.parametrize("abort", [False, True], ids=["on", "abort"])
@pytest.mark.parametrize("sight", SIGHTS, ids=str)
def test_from_wherever_it_was_interrupted_it_comes_to_an_end(sight: Sight, abort: bool) -> None:
    steps = []
    while True:
        step = decide(sight, abort=abort)
        steps.append(step)
        assert len(steps) < 12, steps
        if step in ENDS:
            break
        sight = undisturbed(sight, step)
    if not abort:
        assert steps[-1] in (Step.FINISH, Step.FAIL)


@pytest.mark.parametrize("sight", SIGHTS, ids=str)
def test_the_old_place_is_never_cleared_before_the_new_one_is_the_truth(sight: Sight) -> None:
    for abort in (False, True):
        if decide(sight, abort=abort) is Step.FINISH:
            assert sight.phase is Phase.MOVED


@pytest.mark.parametrize("sight", SIGHTS, ids=str)
def test_the_new_place_is_never_cleared_when_the_guest_may_be_there(sight: Sight) -> None:
    for abort in (False, True):
        if decide(sight, abort=abort) in (Step.UNDO, Step.FAIL):
            assert sight.phase is Phase.COPYING


def test_qemu_goes_over_only_when_both_places_have_every_write() -> None:
    completing = [sight for sight in SIGHTS if decide(sight, abort=False) is Step.COMPLETE]
    assert completing == [Sight(Phase.SWITCHING, Vm.ON_OLD, Job.SYNCED)]


def test_a_qemu_that_died_in_the_switch_leaves_the_new_place_as_the_truth() -> None:
    assert decide(Sight(Phase.SWITCHING, Vm.ABSENT, Job.NONE), abort=True) is Step.CONFIRM


def test_a_qemu_that_died_while_copying_leaves_the_old_place_as_the_truth() -> None:
    assert decide(Sight(Phase.COPYING, Vm.ABSENT, Job.NONE), abort=False) is Step.COPY
    assert decide(Sight(Phase.COPYING, Vm.ABSENT, Job.NONE), abort=True) is Step.UNDO


def test_the_usual_way() -> None:
    sight = Sight(None, Vm.ON_OLD, Job.NONE)
    steps: list[Step] = []
    while not steps or steps[-1] not in ENDS:
        steps.append(decide(sight, abort=False))
        sight = undisturbed(sight, steps[-1])
    words = "begin start wait arm switch complete confirm finish"
    assert steps == [Step(word) for word in words.split()]
