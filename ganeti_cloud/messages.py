# SPDX-License-Identifier: BSD-2-Clause
"""Contract "event": what is told of operations, objects and deployments, one JSON object an event.

What an event may carry is listed here by its type, down to each key of a NIC or disk; nothing else gets in, so that no
parameter of an instance, and with it a secret, ever travels with one. ganeti-cloud-event(7) is the page for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ganeti_cloud.errors import CloudError
from ganeti_cloud.fields import (
    DISK,
    INSTANCE_FACTS,
    INSTANCE_INPUT,
    JOB,
    MAYBE,
    NETWORK_INPUT,
    NIC,
    NUMBER,
    TAGS,
    TEXT,
    WHOLE,
)
from ganeti_cloud.shapes import ListOf, Shape, allowed, bounded, fits

__all__ = ["KINDS", "Event", "Kind", "MessageError", "allowed", "decode", "fits", "prefix"]

SCHEMA = 1
# Of a whole event; brokers and those who listen take far more. Beyond it the largest fields are left out.
MOST_BYTES = 128 << 10
# Of the name of an object (RFC 1035, 2.3.4), and of an id: what AMQP has room for beside it is 255 bytes.
MOST_NAME = 255
MOST_ID = 64
# The last second of the times that the numbers of the spool have room for.
MOST_SECONDS = (1 << 63) // 10**9 - 1

# What ganeti-eventd tells of each operation of each job.
OPERATION = "ganeti-op-status"
NETWORK = "ganeti-network-status"
NODE = "ganeti-node-status"
GROUP = "ganeti-group-status"
CLUSTER = "ganeti-cluster-status"
HEARTBEAT = "eventd-heartbeat"
# What was thrown away for want of room: whoever keeps a state has to reconcile.
LOST = "ganeti-events-lost"
# What the hooks tell: that an operation of an instance begins, or one of a network, node, group or of the cluster; and
# what an instance looks like behind it.
BEGIN = "ganeti-op-begin"
OBJECT_BEGIN = "ganeti-object-begin"
INSTANCE = "ganeti-net-status"
# What is told of a deployment.
IMAGE_INFO = "image-info"
IMAGE_COPY = "image-copy-progress"
IMAGE_HELPER = "image-helper"
IMAGE_ERROR = "image-error"


class Kind(NamedTuple):
    """A type of events: the key under which it names its object, its routing key, and what else it may carry.

    ``{prefix}`` in the routing key is the prefix of the object's name, see :func:`prefix`.
    """

    subject: str
    routing_key: str
    fields: Mapping[str, Shape]


KINDS: Mapping[str, Kind] = {
    OPERATION: Kind(
        "instance",
        "ganeti.{prefix}.event.op",
        {**JOB, **INSTANCE_FACTS, "tags": TAGS, "job_fields": INSTANCE_INPUT},
    ),
    NETWORK: Kind("network", "ganeti.{prefix}.event.network", {**JOB, "tags": TAGS, "job_fields": NETWORK_INPUT}),
    NODE: Kind("node_name", "ganeti.event.node", {**JOB, "tags": TAGS}),
    GROUP: Kind("group", "ganeti.event.group", {**JOB, "tags": TAGS}),
    CLUSTER: Kind("", "ganeti.event.cluster", {**JOB, "tags": TAGS}),
    HEARTBEAT: Kind("", "eventd.heartbeat", {**JOB, "tags": TAGS}),
    LOST: Kind("", "ganeti.event.lost", {"lost": WHOLE, "reason": TEXT}),
    BEGIN: Kind(
        "instance",
        "ganeti.{prefix}.event.begin",
        {"operation": TEXT, "hooks_path": TEXT},
    ),
    OBJECT_BEGIN: Kind(
        "object",
        "ganeti.event.begin",
        {"operation": TEXT, "hooks_path": TEXT, "object_type": TEXT},
    ),
    INSTANCE: Kind(
        "instance",
        "ganeti.{prefix}.event.net",
        {
            "operation": TEXT,
            "hooks_path": TEXT,
            "nics": ListOf(NIC),
            "disks": ListOf(DISK),
            "tags": TAGS,
            "primary_node": MAYBE,
            "new_name": MAYBE,
            "incomplete": (bool,),
        },
    ),
    IMAGE_INFO: Kind("instance", "ganeti.{prefix}.event.progress", {"messages": ListOf(TEXT)}),
    IMAGE_COPY: Kind(
        "instance",
        "ganeti.{prefix}.event.progress",
        {"position": WHOLE, "total": WHOLE, "progress": NUMBER},
    ),
    IMAGE_HELPER: Kind(
        "instance",
        "ganeti.{prefix}.event.progress",
        {"subtype": TEXT, "task": TEXT, "messages": ListOf(TEXT)},
    ),
    IMAGE_ERROR: Kind("instance", "ganeti.{prefix}.event.progress", {"messages": ListOf(TEXT)}),
}


# Of every event.
COMMON: Mapping[str, Shape] = {
    "schema": WHOLE,
    "id": TEXT,
    "type": TEXT,
    "event_time": ListOf(WHOLE),  # seconds, microseconds
    "timestamp": NUMBER,
    "cluster": TEXT,
    "node": TEXT,
}
# Which fields an event has no room for.
LEFT_OUT = "left_out"


class MessageError(CloudError):
    """A text is not an event."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="ganeti-cloud-event(7) describes events")


class Event(NamedTuple):
    """One event about *subject*, the name of its object ("" for the cluster itself).

    *id* is the same however often it arrives; *time_ns* is since 1970, by the clock of *node*. Microseconds travel.
    """

    id: str
    type: str
    time_ns: int
    cluster: str
    node: str
    subject: str
    fields: Mapping[str, Any]

    @property
    def routing_key(self) -> str:
        """By which a topic exchange hands it out."""
        return KINDS[self.type].routing_key.replace("{prefix}", prefix(self.subject))

    def encode(self) -> str:
        """The JSON text, in ASCII, of at most MOST_BYTES. Raises ValueError for what this type of event does not have.

        Long texts are cut. Fields for which there is no room, the largest first, are left out and named.
        """
        kind = self._checked()
        seconds, rest_ns = divmod(self.time_ns, 10**9)
        told = {
            "schema": SCHEMA,
            "id": self.id,
            "type": self.type,
            "event_time": [seconds, rest_ns // 1000],
            "timestamp": self.time_ns // 1000 / 10**6,
            "cluster": self.cluster,
            "node": self.node,
            **({kind.subject: self.subject} if kind.subject else {}),
        }
        fields = {name: bounded(value) for name, value in self.fields.items()}
        text = _text(fields, told)
        while len(text) > MOST_BYTES:
            fields = _without_largest(fields)
            text = _text(fields, told)
        return text

    def _checked(self) -> Kind:
        """The kind of this event. Raises ValueError where it does not have its shape."""
        kind = KINDS.get(self.type)
        if kind is None:
            raise ValueError(f"there are no events {self.type}")
        if not (1 <= len(self.id) <= MOST_ID and self.id.isascii() and self.id.isprintable()):
            raise ValueError(f"an id has 1 to {MOST_ID} characters of ASCII")
        for name in (self.cluster, self.node, self.subject):
            if len(name.encode("utf-8")) > MOST_NAME:
                raise ValueError(f"a name has at most {MOST_NAME} bytes")
        if not 0 <= self.time_ns // 10**9 <= MOST_SECONDS:
            raise ValueError("the time is out of all bounds")
        for name, value in self.fields.items():
            if not fits(value, kind.fields.get(name, ())) and not _names_fields(name, value, kind):
                raise ValueError(f"an event {self.type} has no such field {name}")
        return kind


def decode(text: str) -> Event:
    """The event with the JSON *text*. Raises MessageError. Fields that this version does not know are left out.

    What is returned can be encoded again.
    """
    try:
        told = json.loads(text)
        kind = KINDS[told["type"]]
        if told["schema"] != SCHEMA or not all(fits(told[name], shape) for name, shape in COMMON.items()):
            raise ValueError("a field that every event has is not as it should be")
        subject = told[kind.subject] if kind.subject else ""
        if not isinstance(subject, str):
            raise ValueError(f"{kind.subject} is no text")
        seconds, microseconds = told["event_time"]
        if not 0 <= microseconds < 10**6:
            raise ValueError("a second has a million microseconds")
        known = {name: shape for name, shape in kind.fields.items() if name in told}
        fields = {name: bounded(told[name]) for name, shape in known.items() if fits(told[name], shape)}
        if LEFT_OUT in told and _names_fields(LEFT_OUT, told[LEFT_OUT], kind):
            fields[LEFT_OUT] = told[LEFT_OUT]
        time_ns = seconds * 10**9 + microseconds * 1000
        event = Event(told["id"], told["type"], time_ns, told["cluster"], told["node"], subject, fields)
        event._checked()
    except (ValueError, TypeError, KeyError, RecursionError) as err:
        raise MessageError(f"this is no event: {err}") from err
    return event


def prefix(name: str) -> str:
    """The word of a routing key for an object called *name*: what is before its first "-", in one word of AMQP.

    What is neither a letter of ASCII nor a digit is "_" in it.
    """
    first = name[:_MOST_PREFIX].partition("-")[0]
    return "".join(each if each.isascii() and each.isalnum() else "_" for each in first) or "_"


# A routing key has at most 255 bytes (AMQP 0-9-1, 4.2.5.3).
_MOST_PREFIX = 200


def _names_fields(name: str, value: Any, kind: Kind) -> bool:
    """Whether this is the list of fields that were left out."""
    return name == LEFT_OUT and fits(value, TAGS) and set(value) <= kind.fields.keys()


def _text(fields: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    return json.dumps({**fields, **told}, sort_keys=True)


def _without_largest(fields: Mapping[str, Any]) -> dict[str, Any]:
    """*fields* without the one that takes the most room, and with its name among those that were left out."""
    rest = {name: value for name, value in fields.items() if name != LEFT_OUT}
    largest = max(rest, key=lambda name: len(json.dumps(rest[name])))
    del rest[largest]
    return {**rest, LEFT_OUT: sorted({largest, *fields.get(LEFT_OUT, ())})}
