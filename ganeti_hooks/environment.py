# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti says of an operation, in variables of the environment, as records.

Names and tags in it are whatever somebody gave to Ganeti. What cannot be right is left out, and the record says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ganeti_hooks.paths import Hook

# More than Ganeti allows of any name, tag or address; and more NICs and disks than an instance can have.
_LONGEST = 255
_MOST = 256
_MOST_TAGS = 1024

# What is taken of each NIC and disk.
_OF_DEVICES = {
    "NIC": frozenset({"NAME", "UUID", "MAC", "IP", "MODE", "LINK", "VLAN", "NETWORK_NAME", "NETWORK_SUBNET6"}),
    "DISK": frozenset({"NAME", "UUID", "SIZE", "MODE", "PROVIDER"}),
}

_GANETI = "GANETI_"
_NOW = "GANETI_INSTANCE_"
# In the second phase: the same variables once more, as they are after the operation.
_AFTER = "GANETI_POST_INSTANCE_"

Device = Mapping[str, str]
"""The variables of one NIC or disk, by the rest of their names."""


class Instance(NamedTuple):
    """An instance."""

    name: str
    new_name: str
    """Of one that is renamed; otherwise empty."""
    primary: str
    tags: tuple[str, ...]
    nics: tuple[Device, ...]
    disks: tuple[Device, ...]
    is_gone: bool
    """The operation has removed it."""
    is_whole: bool
    """All that Ganeti says of it is here; otherwise something could not be right."""


class Call(NamedTuple):
    """One call of a hook."""

    hook: Hook
    operation: str
    """The code of the operation, as OP_INSTANCE_CREATE."""
    object_type: str
    object_name: str
    """Of what the operation is about; empty where Ganeti does not say."""
    cluster: str
    master: str
    instance: Instance | None


def read(environ: Mapping[str, str]) -> Call:
    """The call of which *environ* tells."""
    said = {name: _clean(value) for name, value in environ.items() if name.startswith(_GANETI)}
    return Call(
        hook=(said.get("GANETI_HOOKS_PATH", ""), said.get("GANETI_HOOKS_PHASE", "")),
        operation=said.get("GANETI_OP_CODE", "")[:_LONGEST],
        object_type=said.get("GANETI_OBJECT_TYPE", "")[:_LONGEST],
        object_name=_object(said),
        cluster=said.get("GANETI_CLUSTER", ""),
        master=said.get("GANETI_MASTER", ""),
        instance=_instance(said) if said.get(f"{_NOW}NAME") else None,
    )


def _clean(value: str) -> str:
    """*value* in Unicode that can be written: a byte that is none of UTF-8 becomes a mark for that."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _object(said: Mapping[str, str]) -> str:
    # Ganeti has no target for operations of networks and groups; and a network that is renamed has two names.
    for name in ("OP_TARGET", "NETWORK_NAME", "OLD_NAME", "NODE_NAME", "GROUP_NAME"):
        if value := said.get(f"{_GANETI}{name}"):
            return value
    return ""


def _instance(said: Mapping[str, str]) -> Instance:
    # All of it from one of the two: a mixture would be an instance that never was.
    prefix = _AFTER if said.get(f"{_AFTER}NAME") else _NOW
    nics, all_nics = _devices(said, prefix, "NIC")
    disks, all_disks = _devices(said, prefix, "DISK")
    tags = said.get(f"{prefix}TAGS", "").split()
    kept = tuple(tag for tag in tags if len(tag) <= _LONGEST)[:_MOST_TAGS]
    return Instance(
        name=said[f"{_NOW}NAME"],
        new_name=said.get(f"{_NOW}NEW_NAME", "")[:_LONGEST],
        primary=said.get(f"{prefix}PRIMARY", "")[:_LONGEST],
        tags=kept,
        nics=nics,
        disks=disks,
        is_gone=_is_gone(said),
        is_whole=all_nics and all_disks and len(kept) == len(tags),
    )


def _is_gone(said: Mapping[str, str]) -> bool:
    path, phase = said.get("GANETI_HOOKS_PATH"), said.get("GANETI_HOOKS_PHASE")
    is_removed = path == "instance-remove" or said.get("GANETI_REMOVE_INSTANCE") == "True"
    return phase == "post" and is_removed


def _devices(said: Mapping[str, str], prefix: str, kind: str) -> tuple[tuple[Device, ...], bool]:
    """The NICs or disks, in order, and whether that is all of them: as many as Ganeti says, numbered without a gap."""
    found: dict[int, dict[str, str]] = {}
    all_short = True
    for name, value in said.items():
        if not name.startswith(f"{prefix}{kind}"):
            continue
        number, _, rest = name[len(prefix) + len(kind) :].partition("_")
        if rest in _OF_DEVICES[kind] and _is_index(number):
            device = found.setdefault(int(number), {"INDEX": number})
            if len(value) <= _LONGEST:
                device[rest] = value
            else:
                all_short = False
    indexes = sorted(found)
    is_whole = said.get(f"{prefix}{kind}_COUNT") == str(len(indexes)) and indexes == list(range(len(indexes)))
    return tuple(found[index] for index in indexes[:_MOST]), is_whole and all_short and len(indexes) <= _MOST


def _is_index(text: str) -> bool:
    """Whether *text* is a number as Ganeti writes it: neither 01 nor one of another script's digits."""
    return text.isascii() and text.isdigit() and len(text) <= 4 and text == str(int(text))
