# SPDX-License-Identifier: BSD-2-Clause
"""The guest's own users and groups, from its passwd(5) and group(5)."""

from __future__ import annotations

from snf_image_helper.records import NamedTuple
from snf_image_helper.root import Root
from snf_image_helper.task import TaskError

PASSWD = "/etc/passwd"
GROUP = "/etc/group"

# The largest number that chown(2) does not take for "leave it".
MAX_ID = 2**32 - 2


class Account(NamedTuple):
    """A user as the guest knows it."""

    name: str
    user: int
    group: int
    home: str


def accounts(root: Root) -> dict[str, Account]:
    """The guest's users by name. As in getpwnam(3) the first entry of a name counts."""
    found: dict[str, Account] = {}
    for name, fields in _entries(root, PASSWD, 7):
        user, group = _number(fields[2]), _number(fields[3])
        if user is not None and group is not None:
            found.setdefault(name, Account(name, user, group, fields[5] or "/"))
    return found


def groups(root: Root) -> dict[str, int]:
    """The numbers of the guest's groups by name."""
    found: dict[str, int] = {}
    for name, fields in _entries(root, GROUP, 3):
        number = _number(fields[2])
        if number is not None:
            found.setdefault(name, number)
    return found


def account(root: Root, name: str) -> Account:
    """The user *name*. Raises TaskError when the guest has none."""
    try:
        return accounts(root)[name]
    except KeyError:
        raise TaskError(f"the image has no user {name!r}: name others in USERS") from None


def user_number(root: Root, word: str) -> int | None:
    """The number of a user who is named or numbered; None when the guest has none of this name."""
    if word.isdecimal():
        return _number(word)
    found = accounts(root).get(word)
    return found.user if found else None


def group_number(root: Root, word: str) -> int | None:
    """Like :func:`user_number`, of a group."""
    return _number(word) if word.isdecimal() else groups(root).get(word)


def _entries(root: Root, path: str, fields: int) -> list[tuple[str, list[str]]]:
    try:
        lines = root.read_text(path).split("\n")
    except FileNotFoundError:
        return []
    split = [line.split(":") for line in lines]
    return [(entry[0], entry) for entry in split if len(entry) >= fields and entry[0]]


def _number(text: str) -> int | None:
    """The number of a user or group; None for what is none."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 10):
        return None
    return int(text) if int(text) <= MAX_ID else None
