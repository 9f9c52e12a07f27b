# SPDX-License-Identifier: BSD-2-Clause
"""Public keys that open the guest's accounts, in the files that its sshd reads."""

from __future__ import annotations

import os.path
from collections.abc import Sequence

from snf_image_helper.root import Root
from snf_image_helper.sshd import SshdSettings
from snf_image_helper.task import TaskError
from snf_image_helper.users import Account

DEFAULT = ".ssh/authorized_keys"


def add(root: Root, account: Account, keys: Sequence[str], sshd: SshdSettings) -> None:
    """Let *keys* in as *account*; those already there are not doubled. Mode and owner are what sshd insists on."""
    path = key_file(sshd, account)
    folder, home = os.path.dirname(path), account.home.rstrip("/")
    owner, group = account.user, account.group
    if folder.startswith(f"{home}/"):
        root.make_folders(folder, mode=0o700, owner=owner, group=group)
        root.belong(folder, mode=0o700, owner=owner, group=group)
    else:
        root.make_folders(folder)
    old = root.read_text(path) if root.exists(path) else ""
    root.write_text(path, with_keys(old, keys), mode=0o600, owner=owner, group=group)


def key_file(sshd: SshdSettings, account: Account) -> str:
    """The first file that sshd looks into for *account*: sshd_config(5), AuthorizedKeysFile and TOKENS."""
    pattern = (sshd.authorized_keys or (DEFAULT,))[0]
    if pattern.lower() == "none":
        raise TaskError("the image's sshd reads no authorized keys: AuthorizedKeysFile is none in its sshd_config")
    tokens = {"h": account.home, "u": account.name, "U": str(account.user)}
    first, *rest = pattern.split("%")
    path = first
    literal = False
    for part in rest:
        if literal or (part and part[0] in tokens):
            path += part if literal else tokens[part[0]] + part[1:]
            literal = False
        elif part == "":
            path, literal = path + "%", True
        else:
            raise TaskError(f"AuthorizedKeysFile {pattern} in the image's sshd_config: nothing is known of %{part[0]}")
    return path if path.startswith("/") else f"{account.home.rstrip('/')}/{path}"


def with_keys(text: str, keys: Sequence[str]) -> str:
    """The file with *keys* at its end, but for those that it has."""
    there = {_key(line) for line in text.splitlines()}
    if text and not text.endswith("\n"):
        text += "\n"
    for key in keys:
        if _key(key) not in there:
            there.add(_key(key))
            text += key.strip() + "\n"
    return text


def _key(line: str) -> str:
    """The key itself, without options and comment. The encoded ones begin with the length of their type's name."""
    return next((word for word in line.split() if word.startswith("AAAA")), line.strip())
