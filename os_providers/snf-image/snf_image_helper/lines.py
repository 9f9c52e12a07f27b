# SPDX-License-Identifier: BSD-2-Clause
"""Contract "lines": what the helper machine says, a line of JSON at a time, on its virtio-serial port.

The node takes every byte for hostile: what is no line is passed over, and so is what exceeds the limits.
"""

from __future__ import annotations

import json

from snf_image_helper.records import NamedTuple

PORT = "org.ganeti-cloud.snf-image"

START = "task-start"
END = "task-end"
WARNING = "warning"
# The run ended here, for the reason in the text.
ERROR = "error"
# The last line of a run in which every task came to its end.
SUCCESS = "success"
KINDS = frozenset({START, END, WARNING, ERROR, SUCCESS})

# The longest line, with its end; the longest text; and as many lines as the node listens to in one run.
LINE_BYTES = 4096
TEXT = 512
LINES = 1000


class Line(NamedTuple):
    """One thing said: *task* is the name of a task or empty, *text* is printable and at most :data:`TEXT` long."""

    kind: str
    task: str
    text: str

    def encode(self) -> bytes:
        """The line with its end."""
        given = {"kind": self.kind, "task": self.task, "text": printable(self.text)}
        return json.dumps(given, ensure_ascii=False).encode() + b"\n"


def decode(raw: bytes) -> Line | None:
    """The reverse of :meth:`Line.encode`, for bytes from anybody; None when they are no line."""
    if len(raw) > LINE_BYTES:
        return None
    try:
        given = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(given, dict):
        return None
    kind, task, text = (given.get(name) for name in Line._fields)
    if not isinstance(kind, str) or not isinstance(task, str) or not isinstance(text, str):
        return None
    if kind not in KINDS or len(task) > 64 or not (task == "" or task.isalnum()):
        return None
    return Line(kind, task, printable(text))


def printable(text: str) -> str:
    """*text* on one line, without control characters, and not too long."""
    words = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return words if len(words) <= TEXT else words[: TEXT - 3] + "..."
