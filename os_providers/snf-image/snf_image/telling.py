# SPDX-License-Identifier: BSD-2-Clause
"""What is told of a deployment while it goes on: to the log of the OS, to the spool, to a terminal."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ganeti_cloud import messages
from ganeti_cloud.errors import one_line
from ganeti_cloud.messages import Event
from snf_image_helper import lines
from snf_image_helper.lines import Line

HIDDEN = "<hidden>"
_CLUSTER_NAME = "/var/lib/ganeti/ssconf_cluster_name"
# Between two messages on the copy. As the original has it.
COPY_PAUSE_S = 3.0
# A secret that is this short would hide half of each sentence.
_SHORTEST = 4


class Told(NamedTuple):
    """One message: its *type* and the *fields* of it, see :mod:`ganeti_cloud.messages`."""

    type: str
    fields: dict[str, Any]


class Teller:
    """Tells *listeners* in turn; *console* gets the lines of the helper machine's console.

    None of *secrets* is in what they hear.
    """

    def __init__(
        self,
        listeners: Sequence[Callable[[Told], None]],
        console: Callable[[str], None],
        *,
        copy_pause_s: float = COPY_PAUSE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._listeners, self._console = listeners, console
        self._pause_s, self._clock = copy_pause_s, clock
        self._next_s = 0.0
        self._position = -1
        self.secrets: tuple[str, ...] = ()

    def clean(self, text: str) -> str:
        """*text* without the secrets."""
        for secret in self.secrets:
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, HIDDEN)
        return text

    def info(self, text: str) -> None:
        """Something begins or has ended."""
        self._tell(messages.IMAGE_INFO, messages=[self.clean(text)])

    def error(self, text: str) -> None:
        """The deployment has failed."""
        self._tell(messages.IMAGE_ERROR, messages=[self.clean(one_line(text))])

    def copied(self, position: int, total: int) -> None:
        """*position* bytes of *total* are copied. Told at most once a pause, and at the end."""
        now = self._clock()
        if position == self._position or (position < total and now < self._next_s):
            return
        self._position, self._next_s = position, now + self._pause_s
        progress = round(100 * position / total, 2) if total else 100.0
        self._tell(messages.IMAGE_COPY, position=position, total=total, progress=progress)

    def line(self, line: Line) -> None:
        """The helper machine said *line*."""
        if line.kind == lines.SUCCESS:
            return
        text = [self.clean(line.text)] if line.text else []
        fields: dict[str, Any] = {"subtype": line.kind, "messages": text}
        self._tell(messages.IMAGE_HELPER, **fields, **({"task": line.task} if line.task else {}))

    def console(self, text: str) -> None:
        """The console of the helper machine shows the line *text*."""
        self._console(self.clean(text))

    def _tell(self, kind: str, **fields: Any) -> None:
        for listener in self._listeners:
            listener(Told(kind, fields))


def to_log(told: Told) -> None:
    """Write the message as a line of the log, which Ganeti keeps. The error itself is what the script ends with."""
    if told.type != messages.IMAGE_ERROR:
        _write(sentence(told))


def console_to_log(text: str) -> None:
    """Write the line *text* of the helper machine's console."""
    _write(f"console: {text}")


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def sentence(told: Told) -> str:
    """The message for a person."""
    fields = told.fields
    text = " ".join(fields.get("messages", []))
    if told.type == messages.IMAGE_COPY:
        return f"copy: {fields['position']} of {fields['total']} bytes, {fields['progress']} %"
    if told.type == messages.IMAGE_HELPER:
        return ": ".join(part for part in ("helper", fields["subtype"], fields.get("task", ""), text) if part)
    return f"{told.type.removeprefix('image-')}: {text}"


def to_spool(instance: str, put: Callable[[Event], None]) -> Callable[[Told], None]:
    """What hands each message of the deployment of *instance* to *put*, as an event."""
    cluster, node = _cluster_name(), os.uname().nodename

    def tell(told: Told) -> None:
        put(Event(str(uuid.uuid4()), told.type, time.time_ns(), cluster, node, instance, told.fields))

    return tell


def _cluster_name() -> str:
    """The name of this node's cluster; empty where there is none."""
    try:
        with open(_CLUSTER_NAME, encoding="utf-8") as stream:
            return stream.read().strip()
    except OSError:
        return ""
