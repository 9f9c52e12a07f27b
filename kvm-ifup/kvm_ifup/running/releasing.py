# SPDX-License-Identifier: BSD-2-Clause
"""The taps that a guest has left: what its hooks call where Ganeti has no script for the end of a tap.

Ganeti 3.0 and 3.1 have none. It calls hooks instead, on every node that may have had the guest.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ganeti_cloud.deadline import process_limit
from ganeti_cloud.errors import CloudError, RequestError, report
from kvm_ifup.running import device, journal
from kvm_ifup.running.locking import locked
from kvm_ifup.running.state import State, States
from kvm_ifup.running.transaction import Node, ended

# An operation of Ganeti waits for it: what is not done by then is left to `kvm-ifup reconcile`.
LIMIT_S = 30.0
_WAIT_S = 20.0


def main(argv: Sequence[str]) -> int:
    """Release the taps of the instance that *argv* names; returns the exit status."""
    try:
        if len(argv) != 2:
            raise RequestError("release takes the name of one instance", hint="kvm-ifup release INSTANCE")
        late = CloudError(f"{argv[1]}: not released within {LIMIT_S:g} s", hint="kvm-ifup reconcile does the rest")
        with process_limit(LIMIT_S, late):
            called(argv[1])
    except CloudError as err:
        journal.tell(f"release failed: {err}")
        sys.stderr.write(report(err))
        return err.exit_code
    return 0


def called(instance: str) -> list[str]:
    """Release the taps of *instance* on this node; which these were. Raises CloudError."""
    if not _gone(States(), instance):
        return []
    # Most nodes have nothing to release, and what that takes costs more than to look.
    from kvm_ifup import settings
    from kvm_ifup.running import assembly

    return release(assembly.node(settings.load()), instance)


def release(node: Node, instance: str) -> list[str]:
    """Take away what is left of the taps of *instance* that are gone; which these were. Repeating it changes nothing.

    A tap that is there is left alone, be it up or closed. Raises the first CloudError when all were tried.
    """
    if not _gone(node.states, instance):
        return []
    failed: CloudError | None = None
    released = []
    with locked(str(node.states.folder), _WAIT_S):
        for state in _gone(node.states, instance):
            try:
                ended(node, state)
            except CloudError as err:
                failed = failed or err
                continue
            node.tell(f"{state.port.tap}: {instance} has left it; released")
            released.append(state.port.tap)
    if failed is not None:
        raise failed
    return released


def _gone(states: States, instance: str) -> list[State]:
    """Those of *instance* whose device is not there any more, or is another one of the same name."""
    return [
        state
        for state in states.all()
        if isinstance(state, State)
        and state.port.instance == instance
        and device.index(state.port.tap) != state.ifindex
    ]
