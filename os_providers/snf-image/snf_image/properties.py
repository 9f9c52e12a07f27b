# SPDX-License-Identifier: BSD-2-Clause
"""The parameters ``img_properties`` and ``inst_properties``, and which values the properties can have."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping

from snf_image import tasks
from snf_image_helper.properties import truth

FAMILIES = ("linux", "windows", "freebsd", "openbsd", "netbsd")
# What is left out of the original's is too weak to keep a password.
METHODS = ("sha512", "sha256", "yescrypt", "none")

_KEY = re.compile(r"[A-Z0-9_]{1,64}")
_USERS = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?( [A-Za-z0-9_][A-Za-z0-9_.-]*\$?)*")
_SWAP = re.compile(r"[1-9][0-9]{0,2}:[1-9][0-9]{0,6}|[a-z]")
_MOST = 200


def parse(text: str) -> dict[str, str]:
    """The properties in the JSON object *text*, keys in capitals. Raises ValueError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise ValueError("is not JSON") from err
    if not isinstance(given, dict) or len(given) > _MOST:
        raise ValueError(f"is not a JSON object of at most {_MOST} properties")
    found: dict[str, str] = {}
    for key, value in given.items():
        name = key.upper()
        if not _KEY.fullmatch(name):
            raise ValueError(f"{key[:64]!r} cannot be a property: its letters, digits and '_' are at most 64")
        if name in found:
            raise ValueError(f"{name} is there twice, in other capitals")
        found[name] = _word(name, value)
    return found


def _word(key: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{key} is neither a text nor a number nor true or false")
    return value


def problems(properties: Mapping[str, str], *, custom_allowed: bool) -> list[str]:
    """What is wrong with *properties*, each in a sentence; those that mean nothing here may be anything."""
    found = []
    for key, check in _CHECKS.items():
        if key in properties:
            try:
                check(properties[key])
            except ValueError as err:
                found.append(f"{key}={properties[key][:64]!r}: {err}")
    for key in _TRUTHS:
        try:
            truth(properties, key)
        except ValueError as err:
            found.append(str(err))
    try:
        tasks.excluded(properties)
    except ValueError as err:
        found.append(str(err))
    if not custom_allowed and properties.get("CUSTOM_TASK"):
        found.append("CUSTOM_TASK: this site does not let images bring programs ([tasks] custom)")
    return list(dict.fromkeys(found))


def _family(value: str) -> None:
    if value.lower() not in FAMILIES:
        raise ValueError(f"write one of {', '.join(FAMILIES)}")


def _partition(value: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", value):
        raise ValueError("write the number of a partition")


def _matches(pattern: re.Pattern[str], rule: str) -> Callable[[str], None]:
    def check(value: str) -> None:
        if value and not pattern.fullmatch(value):
            raise ValueError(rule)

    return check


def _method(value: str) -> None:
    if value.lower() not in METHODS:
        raise ValueError(f"write one of {', '.join(METHODS)}")


def _base64(value: str) -> None:
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise ValueError("write the program in base64") from err


def _never(value: str) -> None:
    if truth({"": value}, ""):
        raise ValueError("an image cannot bring tasks of its own: take the property away")


_CHECKS: Mapping[str, Callable[[str], None]] = {
    "OSFAMILY": _family,
    "ROOT_PARTITION": _partition,
    "USERS": _matches(_USERS, "write the names of users with spaces between them"),
    "PASSWD_HASHING_METHOD": _method,
    "SWAP": _matches(_SWAP, "write PARTITION:MIB, or the letter of a disk"),
    "CUSTOM_TASK": _base64,
    "ALLOW_MOUNTED_TASK_OVERWRITING": _never,
}
_TRUTHS = (
    "CLOUD_INIT",
    "NM_NETWORKING",
    "DO_SYNC",
    "IGNORE_UNATTEND",
    "OFFLINE_NTFSRESIZE",
    "OFFLINE_NTFSRESIZE_NOCHECK",
    tasks.ALL,
    tasks.MOUNTED,
    tasks.RESIZING,
)
