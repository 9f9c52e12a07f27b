# SPDX-License-Identifier: BSD-2-Clause
"""Taps as they are against taps as they should be: what differs is put right, and what cannot be is closed.

Ganeti 3.0 and 3.1 tell nobody when a tap ends, guests end by themselves, and whoever reloads a packet filter may take
our rules along: so this looks from time to time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from ganeti_cloud.errors import CloudError, one_line
from kvm_ifup.port import Port
from kvm_ifup.running import device
from kvm_ifup.running.binding import BindingPart
from kvm_ifup.running.locking import locked
from kvm_ifup.running.state import CLOSED, MAKING, UP, Broken, State
from kvm_ifup.running.transaction import Node, ended, tried
from kvm_ifup.steps import Part

# Without its binding a guest has no address, and nothing passes that should not.
_HARMLESS = frozenset({BindingPart.name})


NO_TAP = "(all)"
"""In the place of a tap: it is about no single one, or nobody knows about which."""


class Finding(NamedTuple):
    """One thing that is not as it should be, and what puts it right."""

    tap: str
    what: str
    remedy: str
    act: Callable[[], None]


class Done(NamedTuple):
    """A finding that was seen to, or with *error* could not be."""

    tap: str
    what: str
    remedy: str
    error: str


def reconcile(node: Node, *, dry_run: bool = False) -> list[Done]:
    """Put right what differs, or with *dry_run* only tell. Raises CloudError when it cannot even look."""
    with locked(str(node.states.folder)):
        if not dry_run:
            node.states.tidy()
        # Each kind is looked for when the one before is done: a tap that is ended leaves no strays.
        done = [_see_to(node, each, dry_run) for each in _of_states(node)]
        done += [_see_to(node, each, dry_run) for each in _of_parts(node)]
        return done + [_see_to(node, each, dry_run) for each in _of_strays(node)]


def problems(node: Node) -> dict[str, list[str]]:
    """By tap, what is not as it should be. Changes nothing."""
    found: dict[str, list[str]] = {}
    for findings in (_of_states(node), _of_parts(node), _of_strays(node)):
        for each in findings:
            found.setdefault(each.tap, []).append(each.what)
    return found


def _see_to(node: Node, finding: Finding, dry_run: bool) -> Done:
    tap, what, remedy, act = finding
    if dry_run:
        return Done(tap, what, remedy, "")
    try:
        act()
    except CloudError as err:
        node.tell(f"{tap}: {what}; {remedy}: {one_line(str(err))}")
        return Done(tap, what, remedy, one_line(str(err)))
    node.tell(f"{tap}: {what}; {remedy}")
    return Done(tap, what, remedy, "")


def _of_states(node: Node) -> list[Finding]:
    """Taps that are gone, or were left in the middle."""
    findings = []
    for state in node.states.all():
        if isinstance(state, Broken):
            what = f"its state cannot be read ({one_line(state.reason)})"
            findings.append(Finding(state.tap, what, "close it", partial(_close, node, state.tap)))
        elif (now := device.index(state.port.tap)) != state.ifindex:
            what = "it is another one of the same name now" if now else "it is gone"
            findings.append(Finding(state.port.tap, what, "take away what is left of it", partial(ended, node, state)))
        elif state.phase == MAKING:
            act = partial(_end_half, node, state)
            findings.append(Finding(state.port.tap, "it was left half made", "take that away", act))
    return findings


def _of_parts(node: Node) -> list[Finding]:
    """Taps that should work, and of which something is missing; and those that were closed for that."""
    states = [state for state in _whole(node) if state.phase != MAKING and _is_there(state)]
    ports = [state.port for state in states]
    findings: list[Finding] = []
    by_part = [(part, _looked(part, partial(part.problems, ports), findings)) for part in node.parts]
    for state in states:
        tap = state.port.tap
        # A connection needs a tap that is up: what one lacks that somebody has set down comes when it is up again.
        is_down = state.phase == UP and not device.is_up(tap)
        wrong = [
            (part, missing[tap])
            for part, missing in by_part
            if tap in missing and not (is_down and part.name == "link")
        ]
        if state.phase == CLOSED:
            found = "; ".join(f"{part.name}: {what}" for part, what in wrong) or "nothing is missing any more"
            act = partial(_again, node, state, node.parts)
            findings.append(Finding(tap, f"it is closed ({found})", "make all of it again and open it", act))
        elif wrong:
            what = "; ".join(f"{part.name}: {what}" for part, what in wrong)
            act = partial(_again, node, state, [part for part, _ in wrong])
            findings.append(Finding(tap, what, "make it again", act))
    return findings


def _of_strays(node: Node) -> list[Finding]:
    """What is there of taps of which nothing is known. A tap with such a trace was ours: it is closed.

    One without any trace is another's, or is from before we were here.
    """
    # While the state of one is broken, its own finding stands for all of it.
    broken = {state.tap for state in node.states.all() if isinstance(state, Broken)}
    ports = [state.port for state in _whole(node)]
    findings: list[Finding] = []
    traces: dict[str, list[str]] = {}
    for part in node.parts:
        for tap, what in _looked(part, partial(part.strays, ports), findings).items():
            traces.setdefault(tap, []).append(f"{part.name}: {what}")
    for tap, found in sorted(traces.items()):
        if tap not in broken:
            remedy = "close it" if device.index(tap) else "take it away"
            what = f"left of a tap that nothing is known of: {'; '.join(found)}"
            findings.append(Finding(tap, what, remedy, partial(_close, node, tap)))
    return findings


def _looked(part: Part, look: Callable[[], dict[str, str]], findings: list[Finding]) -> dict[str, str]:
    """What *look* finds. One part that cannot look is a finding itself, and stops no other."""
    try:
        return look()
    except CloudError as err:
        what = f"{part.name}: cannot be looked at ({one_line(str(err))})"
        findings.append(Finding(NO_TAP, what, "look again", partial(_fail, err)))
        return {}


def _fail(err: CloudError) -> None:
    raise err


def _whole(node: Node) -> Iterator[State]:
    return (state for state in node.states.all() if isinstance(state, State))


def _is_there(state: State) -> bool:
    return device.index(state.port.tap) == state.ifindex


def _close(node: Node, tap: str) -> None:
    steps: list[Callable[[], None]] = [
        partial(node.switch.down, tap),
        *(partial(part.sweep, [tap]) for part in node.parts),
    ]
    if failed := tried(node, steps, tap):
        raise failed
    node.states.forget(tap)


def _end_half(node: Node, state: State) -> None:
    node.switch.down(state.port.tap)
    ended(node, state)


def _again(node: Node, state: State, parts: Sequence[Part]) -> None:
    """Make *parts* anew, closed meanwhile. What cannot be made leaves it closed, to be tried again."""
    port = state.port
    if all(part.name in _HARMLESS for part in parts):
        for part in parts:
            part.make(port)
        return
    # One that somebody has set down is meant to be down.
    opens = state.phase == CLOSED or device.is_up(port.tap)
    node.states.write(state._replace(phase=CLOSED))
    node.switch.down(port.tap)
    for part in parts:
        part.check(port)
        part.make(port)
    if opens:
        node.switch.up(port)
        _announce(node, port)
    node.states.write(state._replace(phase=UP))


def _announce(node: Node, port: Port) -> None:
    try:
        node.switch.announce(port)
    except CloudError as err:
        node.tell(f"{port.tap}: {one_line(str(err))}")
