# SPDX-License-Identifier: BSD-2-Clause
"""The parameter ``img_personality``: files to be put into the image."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from snf_image_helper.job import PersonalityFile

_MODE = 0o440
_MOST = 100
_KEYS = frozenset({"path", "contents", "owner", "group", "mode"})
_OWNER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}\$?")


def parse(text: str) -> tuple[PersonalityFile, ...]:
    """The files that the JSON list *text* is of. Raises ValueError, which quotes nothing that is in a file."""
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise ValueError("is not JSON") from err
    if not isinstance(entries, list) or len(entries) > _MOST:
        raise ValueError(f"is not a JSON list of at most {_MOST} files")
    return tuple(_file(number, entry) for number, entry in enumerate(entries, 1))


def _file(number: int, entry: object) -> PersonalityFile:
    if not isinstance(entry, dict) or not set(entry) <= _KEYS or not {"path", "contents"} <= set(entry):
        raise ValueError(f"file {number}: give path and contents, and owner, group and mode if they matter")
    try:
        return PersonalityFile(
            path=_path(entry["path"]),
            contents=_contents(entry["contents"]),
            owner=_owner(entry.get("owner", "root")),
            group=_owner(entry.get("group", "root")),
            mode=_mode(entry.get("mode", _MODE)),
        )
    except ValueError as err:
        raise ValueError(f"file {number}: {err}") from err


def _path(raw: Any) -> str:
    if not isinstance(raw, str) or not raw.isprintable() or not 0 < len(raw) < 4096:
        raise ValueError("path is not a path")
    if ".." in raw.split("/") or raw.endswith("/") or not raw.strip("/"):
        raise ValueError(f"{raw!r} names no file below the root of the image")
    return raw


def _contents(raw: Any) -> bytes:
    if not isinstance(raw, str):
        raise ValueError("contents is not base64")
    try:
        return base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError) as err:
        raise ValueError("contents is not base64") from err


def _owner(raw: Any) -> str:
    text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if not isinstance(text, str) or not _OWNER.fullmatch(text):
        raise ValueError("owner and group are names or numbers")
    return text


def _mode(raw: Any) -> int:
    """A number as JSON has it (420 is rw-r--r--), or a text of octal digits ("0644")."""
    if isinstance(raw, str) and re.fullmatch(r"0?[0-7]{3,4}", raw):
        raw = int(raw, 8)
    if not isinstance(raw, int) or isinstance(raw, bool) or not 0 <= raw <= 0o7777:
        raise ValueError('mode is a number, or a text of octal digits as "0644"')
    return raw
