# SPDX-License-Identifier: BSD-2-Clause
"""The URI by which QEMU can open a volume itself, where the Ganeti and the QEMU of this node can carry it.

Ganeti 3.0 hands any URI to QEMU. From 3.1 on it takes the URI apart with a pattern of its own, refuses what does not
match, and passes on only what the pattern names. That grammar still changes, so it is read from the installed Ganeti.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from archipelago.attached import GANETI
from archipelago.mapping.kernel import entries
from archipelago.parameters import DEFAULT_CONF, DEFAULT_USER, Settings

# Where Ganeti's KVM code is. In which of its files the pattern stands differs from release to release.
_SOURCES = "ganeti/hypervisor/hv_kvm"
_PATTERN = re.compile(r"^_BLOCKDEV_URI_REGEX_RBD\s*=\s*r?\"(?P<pattern>[^\"\n]+)\"\s*$", re.MULTILINE)
_TAKES_APART = "def ParseStorageUriToBlockdevParam"

# Debian's QEMU loads its block drivers from here, below the folder of the architecture.
_LIBRARIES = "/usr/lib"
_DRIVER = "qemu/block-rbd.so"

# QEMU ends an option at ":", and Ganeti 3.0 puts the URI into a list with commas: what else is in a path passes both.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")


def userspace_uri(settings: Settings, volume: str, ganeti: str = GANETI, libraries: str = _LIBRARIES) -> str | None:
    """The URI of *volume*, complete; None when this node would refuse it or lose a part of it."""
    return None if obstacle(settings, volume, ganeti, libraries) else _uri(settings, volume)


def obstacle(settings: Settings, volume: str, ganeti: str = GANETI, libraries: str = _LIBRARIES) -> str | None:
    """Why this node cannot open *volume* by a URI; None when it can."""
    if settings.driver != "rados":
        return f"the driver {settings.driver} has none"
    if not any(os.path.exists(f"{libraries}/{folder}/{_DRIVER}") for folder in entries(libraries)):
        return "QEMU has no block driver for rbd (package qemu-block-extra)"
    for path in (settings.conf, settings.keyring):
        if path and not _PLAIN_PATH.fullmatch(path):
            return f"no URI can hold the path {path}"
    source = "\n".join(_sources(f"{ganeti}/{_SOURCES}"))
    if not source:
        return "there is no Ganeti on this node, or one that has moved its source"
    if _TAKES_APART not in source:
        return None
    found = _PATTERN.search(source)
    if found is None:
        return "this Ganeti takes URIs apart in a way that is not known"
    uri = _uri(settings, volume)
    return None if re.match(found["pattern"], uri) else f"this Ganeti cannot carry {uri}"


def _uri(settings: Settings, volume: str) -> str:
    options = ""
    if settings.user != DEFAULT_USER:
        options += f":id={settings.user}"
    if settings.conf != DEFAULT_CONF:
        options += f":conf={settings.conf}"
    if settings.keyring:
        options += f":keyring={settings.keyring}"
    return f"rbd:{settings.spec(volume)}{options}"


def _sources(folder: str) -> Iterator[str]:
    for name in entries(folder):
        if name.endswith(".py"):
            with open(f"{folder}/{name}", encoding="utf-8") as stream:
                yield stream.read()
