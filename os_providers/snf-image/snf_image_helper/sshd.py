# SPDX-License-Identifier: BSD-2-Clause
"""What the guest's sshd_config(5) says of keys."""

from __future__ import annotations

import re
import shlex
from fnmatch import fnmatchcase

from snf_image_helper.records import NamedTuple
from snf_image_helper.root import Root

CONFIGS = ("/etc/ssh/sshd_config", "/usr/etc/ssh/sshd_config")
FOLDER = "/etc/ssh"
# sshd's own limit is 16 levels; a file that includes itself twice would be read 2^16 times with it.
LEVELS = 16
FILES = 100

_LINE = re.compile(r"\s*(\w+)(?:\s*=|\s)\s*(.*)", re.ASCII)


class SshdSettings(NamedTuple):
    """*authorized_keys* are patterns, *host_keys* files; empty when nothing is said of them."""

    authorized_keys: tuple[str, ...]
    host_keys: tuple[str, ...]


class _Reader:
    def __init__(self, root: Root) -> None:
        self.root = root
        self.files = 0
        self.authorized_keys: tuple[str, ...] = ()
        self.host_keys: list[str] = []

    def read(self, path: str, level: int = 0) -> None:
        """Take in the file *path*, as far as it holds for every user: up to its first Match."""
        self.files += 1
        if level > LEVELS or self.files > FILES:
            return
        for line in self.root.read_text(path).splitlines():
            keyword, values = _split(line)
            if keyword == "match":
                return
            if keyword == "include":
                for pattern in values:
                    for included in _files(self.root, pattern):
                        self.read(included, level + 1)
            elif keyword == "authorizedkeysfile":
                # The first value counts: sshd_config(5).
                self.authorized_keys = self.authorized_keys or tuple(values)
            elif keyword == "hostkey":
                self.host_keys += values[:1]


def settings(root: Root) -> SshdSettings:
    """What the guest's sshd is told; nothing when it has no settings."""
    reader = _Reader(root)
    for path in CONFIGS:
        if root.exists(path):
            reader.read(path)
            break
    return SshdSettings(reader.authorized_keys, tuple(dict.fromkeys(reader.host_keys)))


def _split(line: str) -> tuple[str, list[str]]:
    """The keyword of a line in small letters, and its values; empty for a comment, and for what sshd would refuse."""
    found = _LINE.match(line)
    if found is None:
        return "", []
    try:
        return found[1].lower(), shlex.split(found[2], comments=True)
    except ValueError:
        return "", []


def _files(root: Root, pattern: str) -> list[str]:
    """The files that an Include means; wildcards count in the last part of the path alone."""
    folder, _, name = (pattern if pattern.startswith("/") else f"{FOLDER}/{pattern}").rpartition("/")
    paths = [f"{folder}/{found}" for found in root.names(folder) if fnmatchcase(found, name)]
    return [path for path in paths if not root.is_folder(path)]
