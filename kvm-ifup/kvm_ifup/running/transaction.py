# SPDX-License-Identifier: BSD-2-Clause
"""A tap is made whole or not at all: until every part is there it is down, so that nothing passes.

Whatever kills us on the way leaves it down too, and a state that says that it was begun: the next ``up`` of a tap of
that name, or ``reconcile``, takes away what was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from ganeti_cloud.errors import CloudError, one_line
from kvm_ifup.port import Port
from kvm_ifup.running import device
from kvm_ifup.running.locking import locked
from kvm_ifup.running.state import MAKING, UP, Broken, State, States
from kvm_ifup.steps import Part


class Switch(Protocol):
    """What opens and closes a tap."""

    def up(self, port: Port) -> None:
        """Let frames pass."""

    def down(self, tap: str) -> None:
        """Let none pass. A tap that is gone has none."""

    def announce(self, port: Port) -> None:
        """Tell the neighbours where the guest is now."""


class Scripts(Protocol):
    """Those of the site."""

    def up(self, port: Port) -> None:
        """Run those for a tap that begins. Raises CloudError for the first that fails."""

    def down(self, port: Port) -> None:
        """Run all of those for a tap that ends. Raises CloudError when any failed."""


class Node(NamedTuple):
    """What a tap is made of on this node."""

    states: States
    parts: Sequence[Part]
    """In the order in which they are made; they are unmade in the opposite one."""
    switch: Switch
    scripts: Scripts
    tell: Callable[[str], None]
    """Logs a line: something was done, or somebody should look."""


def up(node: Node, port: Port, environ: Mapping[str, str]) -> None:
    """Make *port*, and let frames pass at the very end. *environ* is what Ganeti said, to be kept.

    Raises CloudError, and then the tap is down and nothing of it is left, as far as that can be had.
    """
    with locked(str(node.states.folder)):
        try:
            _up(node, port, environ)
        except BaseException:
            _undo(node, port)
            raise
        try:
            node.switch.announce(port)
        except CloudError as err:
            node.tell(f"{port.tap}: {one_line(str(err))}; its neighbours will learn of it by themselves")
    node.tell(f"{port.tap}: up for {port.instance} (MAC {port.mac.hex(':')}, profile {port.profile})")


def _up(node: Node, port: Port, environ: Mapping[str, str]) -> None:
    node.switch.down(port.tap)
    for part in node.parts:
        part.check(port)
    ifindex = device.index(port.tap)
    if not ifindex:
        raise CloudError(f"{port.tap}: there is no such interface", hint="Ganeti makes the tap before it calls this")
    _clear(node, port.tap)
    node.states.write(State(MAKING, ifindex, dict(environ), port))
    for part in node.parts:
        part.make(port)
    try:
        node.scripts.up(port)
        node.switch.up(port)
        node.states.write(State(UP, ifindex, dict(environ), port))
    except BaseException:
        tried(node, [partial(node.switch.down, port.tap), partial(node.scripts.down, port)], port.tap)
        raise


def _clear(node: Node, tap: str) -> None:
    """Take away what a former tap of this name has left. Raises CloudError when that cannot be."""
    former = node.states.read(tap)
    if isinstance(former, Broken):
        node.tell(f"{tap}: its state was unreadable ({one_line(former.reason)}); it is cleared by its name")
        for part in node.parts:
            part.sweep([tap])
    elif former is not None:
        ended(node, former)
    node.states.forget(tap)


def ended(node: Node, state: State) -> None:
    """Take away all of a tap that is not to be any more, what the site's scripts did first.

    Each part is unmade whatever became of the others. Raises the first CloudError at the end, and then what is known
    of the tap stays.
    """
    port = state.port
    if state.phase != MAKING:
        node.states.write(state._replace(phase=MAKING))
    if failed := tried(node, [partial(node.scripts.down, port), *_unmaking(node, port)], port.tap):
        raise failed
    node.states.forget(port.tap)


def _undo(node: Node, port: Port) -> None:
    """After a failure: the tap down first, then nothing left of it. What fails here is only logged."""
    former = node.states.read(port.tap)
    steps: list[Callable[[], None]] = [partial(node.switch.down, port.tap), *_unmaking(node, port)]
    if isinstance(former, State) and (former.port != port or former.phase != MAKING):
        steps.append(partial(ended, node, former))
    if tried(node, steps, port.tap) is None:
        tried(node, [partial(node.states.forget, port.tap)], port.tap)


def down(node: Node, tap: str, instance: str = "") -> bool:
    """End *tap*; false when nothing is known of it. With *instance*, only if it is that one's."""
    with locked(str(node.states.folder)):
        state = node.states.read(tap)
        if state is None or (instance and isinstance(state, State) and state.port.instance != instance):
            return False
        # One of the same name that came since is not ours to close: its own `up` will do that.
        if isinstance(state, Broken) or device.index(tap) == state.ifindex:
            node.switch.down(tap)
        if isinstance(state, Broken):
            _clear(node, tap)
        else:
            ended(node, state)
    node.tell(f"{tap}: ended")
    return True


def _unmaking(node: Node, port: Port) -> list[Callable[[], None]]:
    return [partial(part.unmake, port) for part in reversed(node.parts)]


def tried(node: Node, steps: Sequence[Callable[[], None]], tap: str) -> CloudError | None:
    """Do each of *steps*, whatever became of the others. Each failure is logged; the first is returned."""
    failed = None
    for step in steps:
        try:
            step()
        except CloudError as err:
            node.tell(f"{tap}: {one_line(str(err))}")
            failed = failed or err
    return failed
