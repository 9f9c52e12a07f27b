# SPDX-License-Identifier: BSD-2-Clause
"""Contract "event": what is told of an operation while it goes on, one JSON object an event.

What an event may carry is listed here by its type; nothing else gets in, so that no parameter of an instance, and with
it a secret, ever travels with one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

SCHEMA = 1

IMAGE_INFO = "image-info"
IMAGE_COPY = "image-copy-progress"
IMAGE_HELPER = "image-helper"
IMAGE_ERROR = "image-error"

# What each type of event carries besides the fields of every event, with its type in JSON.
FIELDS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    IMAGE_INFO: {"messages": list},
    IMAGE_COPY: {"position": int, "total": int, "progress": (int, float)},
    IMAGE_HELPER: {"subtype": str, "task": str, "messages": list},
    IMAGE_ERROR: {"messages": list},
}


class Event(NamedTuple):
    """One event. *id* is the same however often it arrives; *time_ns* is since 1970, by the clock of *node*."""

    id: str
    type: str
    time_ns: int
    cluster: str
    node: str
    instance: str
    fields: Mapping[str, Any]

    def encode(self) -> str:
        """The JSON text. Raises ValueError for a field that its type of event does not have."""
        known = FIELDS[self.type]
        for name, value in self.fields.items():
            if name not in known or not isinstance(value, known[name]):
                raise ValueError(f"an event {self.type} has no field {name} with a {type(value).__name__}")
        seconds, rest_ns = divmod(self.time_ns, 10**9)
        told = {
            "schema": SCHEMA,
            "id": self.id,
            "type": self.type,
            "event_time": [seconds, rest_ns // 1000],
            "timestamp": self.time_ns / 10**9,
            "cluster": self.cluster,
            "node": self.node,
            "instance": self.instance,
        }
        return json.dumps({**self.fields, **told}, sort_keys=True)
