# SPDX-License-Identifier: BSD-2-Clause
"""The hooks of Ganeti 3.0 and 3.1 that are ours, and what is done in each.

Not among them is what has nothing to say that ganeti-eventd does not say better: the end of an operation of a network,
node, group or cluster, and network-connect and network-disconnect, which do not say which network it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

NAME = "ganeti-cloud"
"""Of the link in each folder. Ganeti skips names with a dot in them."""
FOLDER = "/etc/ganeti/hooks"
PROGRAM = "/usr/share/ganeti-cloud/hooks/hook"


class Duty(NamedTuple):
    """What is done in one hook."""

    begins: bool = False
    """Tells that the operation begins."""
    shows: bool = False
    """Tells what the instance looks like behind the operation."""
    releases: bool = False
    """Has kvm-ifup clear what is left of taps of the instance: it may have left this node, or lost a NIC."""


INSTANCE = (
    "disk-grow",
    "instance-add",
    "instance-change-group",
    "instance-export",
    "instance-failover",
    "instance-migrate",
    "instance-modify",
    "instance-move",
    "instance-reboot",
    "instance-recreate-disks",
    "instance-reinstall",
    "instance-remove",
    "instance-rename",
    "instance-start",
    "instance-stop",
    "mirrors-replace",
)
OTHERS = (
    "cluster-modify",
    "cluster-rename",
    "group-add",
    "group-evacuate",
    "group-modify",
    "group-remove",
    "group-rename",
    "network-add",
    "network-modify",
    "network-remove",
    "network-rename",
    "node-add",
    "node-migrate",
    "node-modify",
    "node-remove",
)
# Of those after which a tap of the instance may be gone from a node.
_ENDS_TAPS = (
    "instance-export",
    "instance-failover",
    "instance-migrate",
    "instance-modify",
    "instance-move",
    "instance-reboot",
    "instance-remove",
    "instance-stop",
)

Hook = tuple[str, str]
"""The hooks path and the phase."""

DUTIES: Mapping[Hook, Duty] = {
    **{(path, "pre"): Duty(begins=True) for path in (*INSTANCE, *OTHERS)},
    **{(path, "post"): Duty(shows=True, releases=path in _ENDS_TAPS) for path in INSTANCE},
}


def place(hook: Hook) -> str:
    """Where Ganeti looks for our link to the program."""
    path, phase = hook
    return f"{FOLDER}/{path}-{phase}.d/{NAME}"
