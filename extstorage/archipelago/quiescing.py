# SPDX-License-Identifier: BSD-2-Clause
"""Quiet file systems in a guest while a snapshot of its disk is taken, by the agent in the guest (qemu-ga).

A guest whose file systems are frozen stands still at its first write, so that it must not be left frozen by anything
that can happen to this program. A child process therefore speaks with the agent. It thaws when it is told, when this
process dies, or when the time is over, whichever comes first.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from archipelago import running
from archipelago.running import Running
from ganeti_cloud import qmp
from ganeti_cloud.errors import CloudError, RequestError, StorageError

# An agent that is there answers at once. Freezing is writing out what the guest has in its memory.
_SYNC_S = 3.0
_FREEZE_S = 8.0
# The longest that a guest is to stand still, counted from when it was frozen.
LIMIT_S = 10.0
# How long, and how often, an agent that does not answer any more is asked to thaw.
_THAW_S = 300.0
_RETRY_S = 1.0


class Quiesce(StrEnum):
    """What a person wants of a snapshot: quiet file systems if the guest can, never, or else no snapshot."""

    AUTO = "auto"
    NO = "no"
    MUST = "must"


class State:
    """How it went: *frozen* tells whether the guest's file systems stood still, *remark* why not."""

    def __init__(self, *, frozen: bool, remark: str) -> None:
        self.frozen = frozen
        self.remark = remark


@contextmanager
def quiesced(volume: str, mode: Quiesce) -> Iterator[State]:
    """Within the block the file systems of the guest that runs on *volume* stand still, if *mode* wants and the guest
    can; for :data:`LIMIT_S` at most. After it the state says whether they did so to the end.

    Raises RequestError before the block when they must and cannot, and StorageError after it when they must have and
    did not.
    """
    found = running.find(volume) if mode is not Quiesce.NO else None
    reason = why_not(mode, volume, found)
    if reason is not None:
        yield State(frozen=False, remark=reason)
        return
    assert found is not None
    assert found.agent is not None
    guard = _Guard(found.agent)
    try:
        error = guard.frozen()
        if error and mode is Quiesce.MUST:
            raise _cannot(volume, error)
        state = State(frozen=not error, remark=error)
        yield state
    finally:
        thawed_early = guard.thaw()
    if state.frozen and thawed_early:
        state.frozen = False
        state.remark = f"the guest was thawed after {LIMIT_S:g} s, before the snapshot was complete"
        if mode is Quiesce.MUST:
            raise StorageError(
                f"the snapshot of volume {volume} is not quiesced: {state.remark}",
                hint="remove it, look why the store is slow (`ceph -s`), and try again",
            )


def why_not(mode: Quiesce, volume: str, found: Running | None) -> str | None:
    """Why the guest of *found*, which runs on *volume*, is not to be frozen; None when it is. Raises RequestError when
    it has to be."""
    if mode is Quiesce.NO:
        return ""
    if found is None:
        reason = "no instance of this node runs on it"
    elif found.agent is None:
        reason = f"instance {found.instance} has no guest agent: its hypervisor parameter use_guest_agent is off"
    else:
        return None
    if mode is Quiesce.MUST:
        raise _cannot(volume, reason)
    return reason


def _cannot(volume: str, reason: str) -> RequestError:
    return RequestError(
        f"a snapshot of volume {volume} cannot be quiesced: {reason}",
        hint="run the command on the node of the instance, with qemu-ga in the guest; or use --quiesce auto",
    )


class _Guard:
    """The child process. It tells in JSON, a line each, how freezing and thawing went; the end of its input is the word
    to thaw."""

    def __init__(self, socket: str) -> None:
        input_, self._word = os.pipe()
        self._told, output = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            # Not the terminal's interrupt key, nor what ends a whole group, is to reach it.
            os.setsid()
            os.close(self._word)
            os.close(self._told)
            try:
                _watch_over(socket, input_, output)
            finally:
                os._exit(0)  # none of this process's other work is the child's to end
        os.close(input_)
        os.close(output)
        self._heard = b""

    def frozen(self) -> str:
        """Wait until the guest is frozen; why it is not, empty when it is."""
        answer = self._hear(_SYNC_S + _FREEZE_S + 1)
        return str(answer.get("error", "")) if answer else "the process that speaks with its agent died"

    def thaw(self) -> bool:
        """Have the guest thawed. Returns whether it was before this was called."""
        os.close(self._word)
        answer = self._hear(LIMIT_S)
        os.close(self._told)
        # One that has not said a word still tries to thaw, and outlives this process.
        os.waitpid(self._pid, os.WNOHANG if answer is None else 0)
        return answer is None or bool(answer.get("late"))

    def _hear(self, timeout_s: float) -> dict[str, Any] | None:
        end = time.monotonic() + timeout_s
        while b"\n" not in self._heard:
            ready, _, _ = select.select([self._told], [], [], max(0.0, end - time.monotonic()))
            piece = os.read(self._told, 4096) if ready else b""
            if not piece:
                return None
            self._heard += piece
        line, _, self._heard = self._heard.partition(b"\n")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer


def _watch_over(socket: str, word: int, told: int) -> None:
    """What the child does: freeze, wait for the *word* or for the time to be over, and thaw whatever has happened."""
    asked = False
    try:
        with qmp.agent(socket, timeout_s=_SYNC_S) as client:
            asked = True
            client.execute("guest-fsfreeze-freeze", timeout_s=_FREEZE_S)
    except qmp.Refused as err:  # the agent has thawed what it had frozen
        _tell(told, {"error": str(err)})
        return
    except CloudError as err:
        if asked:
            _thaw(socket)
        _tell(told, {"error": f"its guest agent does not answer ({err})"})
        return
    _tell(told, {"frozen": True})
    ready, _, _ = select.select([word], [], [], LIMIT_S)
    _thaw(socket)
    _tell(told, {"late": not ready})


def _thaw(socket: str) -> None:
    """Have the agent behind *socket* thaw, as often as it needs to be asked."""
    end = time.monotonic() + _THAW_S
    while time.monotonic() < end:
        try:
            with qmp.agent(socket, timeout_s=_SYNC_S) as client:
                client.execute("guest-fsfreeze-thaw", timeout_s=_FREEZE_S)
                return
        except CloudError:
            time.sleep(_RETRY_S)


def _tell(told: int, answer: dict[str, Any]) -> None:
    try:
        os.write(told, json.dumps(answer).encode() + b"\n")
    except BrokenPipeError:
        pass  # who wanted to know died
