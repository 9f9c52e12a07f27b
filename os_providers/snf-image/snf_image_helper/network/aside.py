# SPDX-License-Identifier: BSD-2-Clause
"""What the image says of its own network is put aside: it would hold beside what we say."""

from __future__ import annotations

import re
from collections.abc import Collection

from snf_image_helper.network import facts, ifcfg, ifupdown, networkd, networkmanager
from snf_image_helper.root import Root

# Every system passes over a name that ends so; NetworkManager, which has no fixed ending, does for the tilde.
SUFFIX = ".disabled~"

_PERSISTENT = "/etc/udev/rules.d/70-persistent-net.rules"
# Those that interfaces(5) takes from a source-directory.
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_ETHERNET = re.compile(r"^\s*type\s*=\s*(ethernet|802-3-ethernet)\s*$", re.MULTILINE)


def old_files(root: Root) -> list[str]:
    """The files that speak of interfaces of this kind, in every system that may be in the image."""
    found = [_PERSISTENT] if root.exists(_PERSISTENT) else []
    found += _named(root, "/etc/netplan", re.compile(r".*\.yaml"))
    found += _named(root, networkd.FOLDER, re.compile(r".*\.network"))
    found += _named(root, "/etc/network/interfaces.d", _PLAIN)
    found += _named(root, ifcfg.FOLDER, re.compile(r"(ifcfg-(?!lo$)|route6?-).*(?<!~)"))
    keyfiles = _named(root, networkmanager.FOLDER, re.compile(r"[^.].*(?<!~)"))
    return found + [path for path in keyfiles if _ETHERNET.search(_text(root, path))]


def put(root: Root, backend: str, new: Collection[str]) -> list[str]:
    """Put the old files aside, but for those that *new* ones replace; returns their names.

    So is ifupdown's one file; where ifupdown is not chosen, one with the loopback interface alone takes its place.
    """
    old = [path for path in old_files(root) if path not in new]
    for path in old:
        root.rename(path, path.rpartition("/")[2] + SUFFIX)
    if root.exists(ifupdown.PATH):
        root.rename(ifupdown.PATH, ifupdown.PATH.rpartition("/")[2] + SUFFIX)
        if backend != facts.IFUPDOWN:
            root.write_text(ifupdown.PATH, ifupdown.files([])[ifupdown.PATH])
    return old


def _named(root: Root, folder: str, pattern: re.Pattern[str]) -> list[str]:
    paths = [f"{folder}/{name}" for name in root.names(folder) if pattern.fullmatch(name)]
    return [path for path in paths if not root.is_folder(path)]


def _text(root: Root, path: str) -> str:
    return root.read_text(path) if root.exists(path) else ""
