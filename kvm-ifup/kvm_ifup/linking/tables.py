# SPDX-License-Identifier: BSD-2-Clause
"""Routing tables by the names that the administrator has given to them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ganeti_cloud.errors import RequestError

# iproute2 looks for rt_tables here, from the first on; the last two are those of the package since 6.5.
FOLDERS = ("/etc/iproute2", "/usr/share/iproute2", "/usr/lib/iproute2")

MAIN = 254  # linux/rtnetlink.h
_LOCAL = 255
_BUILT_IN = {"main": MAIN, "default": 253}
_MOST = 0xFFFFFFFF


def number(table: str, folders: tuple[str, ...] = FOLDERS) -> int:
    """The number of *table*, which is that number or a name for it.

    Raises RequestError when there is no such name, or guests must not use the table.
    """
    found = int(table) if table.isascii() and table.isdigit() and len(table) <= 10 else _named(table, folders)
    # Every packet meets the table local first, which has the node's own addresses.
    if found is None or not 0 < found <= _MOST or found == _LOCAL:
        raise RequestError(
            f"{table!r} is not a routing table that guests can use",
            hint="link of the NIC: the number of a table, or its name in /etc/iproute2/rt_tables",
        )
    return found


def _named(name: str, folders: tuple[str, ...]) -> int | None:
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    for folder in folders:
        for path in _files(folder):
            for number_text, entry in _entries(path):
                if entry == name:
                    return number_text
    return None


def _files(folder: str) -> list[str]:
    """rt_tables, and the files that packages and administrators have put beside it."""
    more = f"{folder}/rt_tables.d"
    try:
        names = sorted(name for name in os.listdir(more) if name.endswith(".conf") and not name.startswith("."))
    except OSError:
        names = []
    return [f"{folder}/rt_tables", *(f"{more}/{name}" for name in names)]


def _entries(path: str) -> Iterator[tuple[int, str]]:
    """Numbers and names in a file; like iproute2, without the lines that say something else."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        return
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) == 2:
            try:
                yield int(words[0], 0), words[1]
            except ValueError:
                continue
