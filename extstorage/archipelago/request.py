# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti asks of a script: its environment, read once. See ganeti-extstorage-interface(7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ganeti_cloud import volume
from ganeti_cloud.errors import RequestError

_HINT = "Ganeti sets this variable; to try a script by hand see archipelago-provider(7)"


class Request(NamedTuple):
    """One call of a script. What the verb does not use is None. Sizes are in MiB."""

    verb: str
    volume: str
    size_mib: int | None
    new_size_mib: int | None
    snapshot: str | None
    metadata: str | None
    exclusive: bool | None
    parameters: Mapping[str, str]

    @classmethod
    def from_env(cls, verb: str, env: Mapping[str, str]) -> Request:
        """Read the environment *env* of the script *verb*. Raises RequestError."""
        parameters = {key[5:].lower(): value for key, value in env.items() if key.startswith("EXTP_")}
        return cls(
            verb=verb,
            volume=volume.checked_name(_needed(env, "VOL_NAME")),
            size_mib=_mib(env, "VOL_SIZE") if verb == "create" else None,
            new_size_mib=_mib(env, "VOL_NEW_SIZE") if verb == "grow" else None,
            snapshot=volume.checked_name(_needed(env, "VOL_SNAPSHOT_NAME")) if verb == "snapshot" else None,
            metadata=_needed(env, "VOL_METADATA") if verb == "setinfo" else None,
            exclusive=_truth(env, "VOL_OPEN_EXCLUSIVE") if verb == "open" else None,
            parameters=parameters,
        )


def _needed(env: Mapping[str, str], key: str) -> str:
    value = env.get(key, "")
    if not value:
        raise RequestError(f"{key} is not set", hint=_HINT)
    return value


def _truth(env: Mapping[str, str], key: str) -> bool:
    text = _needed(env, key)
    if text not in ("True", "False"):
        raise RequestError(f"{key}={text!r} is neither True nor False", hint=_HINT)
    return text == "True"


def _mib(env: Mapping[str, str], key: str) -> int:
    text = _needed(env, key)
    if not (text.isascii() and text.isdigit() and len(text) < 20) or not 0 < int(text) < 1 << 40:
        raise RequestError(f"{key}={text!r} is not a size in MiB", hint=_HINT)
    return int(text)
