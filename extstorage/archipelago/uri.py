# SPDX-License-Identifier: BSD-2-Clause
"""The URI by which QEMU can open a volume itself, where the Ganeti of this node can carry it.

Ganeti 3.0 hands any URI to QEMU. From 3.1 on it takes the URI apart with a pattern of its own, refuses what does not
match, and passes on only what the pattern names. That grammar still changes, so it is read from the installed Ganeti.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from archipelago.attached import GANETI
from archipelago.mapping.kernel import entries
from archipelago.parameters import DEFAULT_CONF, DEFAULT_USER, Settings

# Where Ganeti's KVM code is. In which of its files the pattern stands differs from release to release.
_SOURCES = "ganeti/hypervisor/hv_kvm"
_PATTERN = re.compile(r"^_BLOCKDEV_URI_REGEX_RBD\s*=\s*r?\"(?P<pattern>[^\"\n]+)\"\s*$", re.MULTILINE)
_TAKES_APART = "def ParseStorageUriToBlockdevParam"


def userspace_uri(settings: Settings, volume: str, ganeti: str = GANETI) -> str | None:
    """The URI of *volume*, complete; None when this node's Ganeti would refuse it or lose a part of it."""
    if settings.driver != "rados":
        return None
    options = ""
    if settings.user != DEFAULT_USER:
        options += f":id={settings.user}"
    if settings.conf != DEFAULT_CONF:
        options += f":conf={settings.conf}"
    uri = f"rbd:{settings.spec(volume)}{options}"
    return uri if _carries(uri, ganeti) else None


def _carries(uri: str, ganeti: str) -> bool:
    source = "\n".join(_sources(f"{ganeti}/{_SOURCES}"))
    if not source:
        return False  # no Ganeti, or one that has moved its source: then the block device must do
    if _TAKES_APART not in source:
        return True
    found = _PATTERN.search(source)
    return found is not None and re.match(found["pattern"], uri) is not None


def _sources(folder: str) -> Iterator[str]:
    for name in entries(folder):
        if name.endswith(".py"):
            with open(f"{folder}/{name}", encoding="utf-8") as stream:
                yield stream.read()
