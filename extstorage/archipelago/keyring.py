# SPDX-License-Identifier: BSD-2-Clause
"""Keyring files: ``[client.NAME]`` and below it ``key = …``. See ceph-authtool(8)."""

from __future__ import annotations

import re

from archipelago.parameters import Settings
from ganeti_cloud.errors import ConfigError

_SECTION = re.compile(r"^\s*\[(?P<name>[^\]]+)\]\s*$")
_KEY = re.compile(r"^\s*key\s*=\s*(?P<key>[A-Za-z0-9+/]+=*)\s*$")


def key(settings: Settings) -> str:
    """The key of the user that *settings* name, in base64, out of their keyring. Raises ConfigError."""
    client = f"client.{settings.user}"
    try:
        with open(settings.keyring, encoding="utf-8") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as err:
        raise ConfigError(f"{settings.keyring}: {err}", hint=f"ceph auth get {client} -o {settings.keyring}") from err
    found = key_in(text, client)
    if found is None:
        raise ConfigError(
            f"no key of {client} in {settings.keyring}", hint=f"ceph auth get {client} -o {settings.keyring}"
        )
    return found


def key_in(text: str, client: str) -> str | None:
    """The key of *client* in the *text* of a keyring; None when it has none."""
    section = ""
    for line in text.splitlines():
        if heading := _SECTION.match(line):
            section = heading["name"].strip()
        elif section == client and (entry := _KEY.match(line)):
            return entry["key"]
    return None
