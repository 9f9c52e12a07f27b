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

SCHEMA = 1
# What the text of an event may have.
MOST_BYTES = 128 << 10

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

_NULL = type(None)
_TEXT, _MAYBE = (str,), (str, _NULL)
_WHOLE, _NUMBER = (int,), (int, float)


class ListOf(NamedTuple):
    """A list, each of whose members has the shape *of*."""

    of: Any


class OneOf(NamedTuple):
    """What has one of *shapes*."""

    shapes: tuple[Any, ...]


# A shape is a tuple of types, a mapping from each key that may be there to its shape, a ListOf, or a OneOf.
Shape = Any

_NIC: Mapping[str, Shape] = {
    "name": _MAYBE,
    "uuid": _MAYBE,
    "mac": _MAYBE,
    "ip": _MAYBE,
    "ipv6": _MAYBE,
    "mode": _MAYBE,
    "link": _MAYBE,
    "vlan": _MAYBE,
    "network": _MAYBE,
    "firewall": _MAYBE,
}
_DISK: Mapping[str, Shape] = {
    "name": _MAYBE,
    "uuid": _MAYBE,
    "size": (int, str, _NULL),  # in MiB
    "mode": _MAYBE,
    "provider": _MAYBE,
    "origin": _MAYBE,
    "adopt": _MAYBE,
    "snapshot_info": _MAYBE,
}
_HVPARAMS: Mapping[str, Shape] = {"boot_order": _MAYBE, "cdrom_image_path": _MAYBE}
_BEPARAMS: Mapping[str, Shape] = dict.fromkeys(
    ("memory", "minmem", "maxmem", "vcpus", "spindle_use", "auto_balance", "always_failover"),
    (int, str, bool, _NULL),
)
_TAGS = ListOf(_TEXT)
# As opcodes have them: a list of NICs, or of [what to do, which, how].
_NIC_CHANGES = OneOf((ListOf(_NIC), ListOf(ListOf(OneOf(((str, int), _NIC))))))
_DISK_CHANGES = OneOf((ListOf(_DISK), ListOf(ListOf(OneOf(((str, int), _DISK))))))

_JOB: Mapping[str, Shape] = {
    "operation": _TEXT,
    "status": _TEXT,
    "jobId": _WHOLE,
    "opIndex": _WHOLE,
    "logSerial": _WHOLE,
    "logmsg": _MAYBE,
    "result": (str, int, bool, _NULL),
}
_INSTANCE_FACTS: Mapping[str, Shape] = {
    "instance_nics": ListOf(_NIC),
    "instance_disks": ListOf(_DISK),
    "instance_hvparams": _HVPARAMS,
    "instance_beparams": _BEPARAMS,
    "instance_tags": _TAGS,
    "primary_node": _MAYBE,
}
_INSTANCE_INPUT: Mapping[str, Shape] = {
    "nics": _NIC_CHANGES,
    "disks": _DISK_CHANGES,
    "hvparams": _HVPARAMS,
    "beparams": _BEPARAMS,
    "dry_run": (bool, _NULL),
    **dict.fromkeys(("disk_template", "os_type", "hypervisor", "mode", "pnode", "group_name", "new_name"), _MAYBE),
    **dict.fromkeys(("start", "name_check", "ip_check", "wait_for_sync", "no_install"), (bool, _NULL)),
}
_NETWORK_INPUT: Mapping[str, Shape] = {
    **dict.fromkeys(
        ("network", "subnet", "gateway", "network6", "gateway6", "mac_prefix", "group_name"),
        _MAYBE,
    ),
    **dict.fromkeys(("network_mode", "network_link", "network_vlan"), _MAYBE),
    **dict.fromkeys(("add_reserved_ips", "remove_reserved_ips"), OneOf((ListOf(_TEXT), (_NULL,)))),
}


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
        {**_JOB, **_INSTANCE_FACTS, "tags": _TAGS, "job_fields": _INSTANCE_INPUT},
    ),
    NETWORK: Kind("network", "ganeti.{prefix}.event.network", {**_JOB, "tags": _TAGS, "job_fields": _NETWORK_INPUT}),
    NODE: Kind("node_name", "ganeti.event.node", {**_JOB, "tags": _TAGS}),
    GROUP: Kind("group", "ganeti.event.group", {**_JOB, "tags": _TAGS}),
    CLUSTER: Kind("", "ganeti.event.cluster", {**_JOB, "tags": _TAGS}),
    HEARTBEAT: Kind("", "eventd.heartbeat", {**_JOB, "tags": _TAGS}),
    LOST: Kind("", "ganeti.event.lost", {"lost": _WHOLE, "reason": _TEXT}),
    BEGIN: Kind(
        "instance",
        "ganeti.{prefix}.event.begin",
        {"operation": _TEXT, "hooks_path": _TEXT},
    ),
    OBJECT_BEGIN: Kind(
        "object",
        "ganeti.event.begin",
        {"operation": _TEXT, "hooks_path": _TEXT, "object_type": _TEXT},
    ),
    INSTANCE: Kind(
        "instance",
        "ganeti.{prefix}.event.net",
        {
            "operation": _TEXT,
            "hooks_path": _TEXT,
            "nics": ListOf(_NIC),
            "disks": ListOf(_DISK),
            "tags": _TAGS,
            "primary_node": _MAYBE,
            "new_name": _MAYBE,
            "incomplete": (bool,),
        },
    ),
    IMAGE_INFO: Kind("instance", "ganeti.{prefix}.event.progress", {"messages": ListOf(_TEXT)}),
    IMAGE_COPY: Kind(
        "instance",
        "ganeti.{prefix}.event.progress",
        {"position": _WHOLE, "total": _WHOLE, "progress": _NUMBER},
    ),
    IMAGE_HELPER: Kind(
        "instance",
        "ganeti.{prefix}.event.progress",
        {"subtype": _TEXT, "task": _TEXT, "messages": ListOf(_TEXT)},
    ),
    IMAGE_ERROR: Kind("instance", "ganeti.{prefix}.event.progress", {"messages": ListOf(_TEXT)}),
}


class MessageError(CloudError):
    """A text is not an event."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="ganeti-cloud-event(7) describes events")


class Event(NamedTuple):
    """One event about *subject*, the name of its object ("" for the cluster itself).

    *id* is the same however often it arrives; *time_ns* is since 1970, by the clock of *node*.
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
        """The JSON text. Raises ValueError for a field that its type of event does not have."""
        kind = KINDS[self.type]
        for name, value in self.fields.items():
            if name not in kind.fields or not fits(value, kind.fields[name]):
                raise ValueError(f"an event {self.type} has no such field {name}")
        seconds, rest_ns = divmod(self.time_ns, 10**9)
        told = {
            "schema": SCHEMA,
            "id": self.id,
            "type": self.type,
            "event_time": [seconds, rest_ns // 1000],
            "timestamp": self.time_ns / 10**9,
            "cluster": self.cluster,
            "node": self.node,
            **({kind.subject: self.subject} if kind.subject else {}),
        }
        return json.dumps({**self.fields, **told}, sort_keys=True)


# Of every event.
COMMON: Mapping[str, Shape] = {
    "schema": _WHOLE,
    "id": _TEXT,
    "type": _TEXT,
    "event_time": ListOf(_WHOLE),  # seconds, microseconds
    "timestamp": _NUMBER,
    "cluster": _TEXT,
    "node": _TEXT,
}


def decode(text: str) -> Event:
    """The event with the JSON *text*. Raises MessageError. Fields that this version does not know are left out."""
    try:
        told = json.loads(text)
        kind = KINDS[told["type"]]
        if not all(fits(told[name], shape) for name, shape in COMMON.items()):
            raise ValueError("a field that every event has is not as it should be")
        subject = told[kind.subject] if kind.subject else ""
        if not isinstance(subject, str):
            raise ValueError(f"{kind.subject} is no text")
        seconds, microseconds = told["event_time"]
    except (ValueError, TypeError, KeyError, RecursionError) as err:
        raise MessageError(f"this is no event: {err}") from err
    fields = {name: told[name] for name, shape in kind.fields.items() if name in told and fits(told[name], shape)}
    time_ns = seconds * 10**9 + microseconds * 1000
    return Event(told["id"], told["type"], time_ns, told["cluster"], told["node"], subject, fields)


def prefix(name: str) -> str:
    """The word of a routing key for an object called *name*: what is before its first "-", in one word of AMQP."""
    return name.partition("-")[0].replace(".", "_") or "_"


def fits(value: object, shape: Shape) -> bool:
    """Whether *value* has the *shape*, and carries nothing else."""
    if isinstance(shape, ListOf):
        return isinstance(value, list | tuple) and all(fits(each, shape.of) for each in value)
    if isinstance(shape, OneOf):
        return any(fits(value, each) for each in shape.shapes)
    if isinstance(shape, Mapping):
        return isinstance(value, Mapping) and all(
            key in shape and fits(each, shape[key]) for key, each in value.items()
        )
    if isinstance(value, bool) and bool not in shape:
        return False  # which Python takes for a number
    return isinstance(value, shape)


def allowed(value: object, shape: Shape) -> Any:
    """*value* without what *shape* does not have: unknown keys, and members of the wrong kind; None for all of it."""
    if isinstance(shape, ListOf) and isinstance(value, list | tuple):
        return [kept for each in value if (kept := allowed(each, shape.of)) is not None or each is None]
    if isinstance(shape, Mapping) and isinstance(value, Mapping):
        kept = {key: allowed(value[key], shape[key]) for key in shape if key in value}
        return {key: each for key, each in kept.items() if fits(each, shape[key])}
    if isinstance(shape, OneOf):
        tries = [kept for each in shape.shapes if fits(kept := allowed(value, each), each)]
        return max(tries, key=_size, default=None)
    return value if not isinstance(shape, ListOf | Mapping) and fits(value, shape) else None


def _size(value: object) -> int:
    return len(json.dumps(value))
