# SPDX-License-Identifier: BSD-2-Clause
"""Where a volume lies, in the words of its disk parameters."""

from __future__ import annotations

from collections.abc import Mapping

from archipelago.attached import CONFIG_FILE
from archipelago.parameters import DRIVERS, Settings
from ganeti_cloud.errors import RequestError

# The disk parameters that say in which place a volume is. All others say how it is reached or how it was made.
_KEYS = ("driver", "pool", "namespace")

# Ganeti's word for "take this parameter away".
_DEFAULT = "default"


def at(parameters: Mapping[str, str], config: str = CONFIG_FILE) -> Settings:
    """The settings of a disk with *parameters*. Raises ConfigError and RequestError."""
    return Settings.load(config, parameters)


def moved(parameters: Mapping[str, str], to: str) -> dict[str, str]:
    """The *parameters* of a disk when it has been moved *to* ``rados[:pool[/namespace]]`` or ``file[:pool]``.

    Where *to* names no pool, it is the configured one of that driver. Raises RequestError.
    """
    driver, _, rest = to.partition(":")
    pool, _, namespace = rest.partition("/")
    if driver not in DRIVERS or (namespace and driver != "rados") or to.endswith((":", "/")):
        raise RequestError(
            f"{to!r} is not a place for a volume",
            hint="write rados, rados:POOL, rados:POOL/NAMESPACE, file or file:POOL",
        )
    kept = {key: value for key, value in parameters.items() if key not in _KEYS}
    given = {"driver": driver, "pool": pool, "namespace": namespace}
    return kept | {key: value for key, value in given.items() if value}


def explicit(parameters: Mapping[str, str], config: str = CONFIG_FILE) -> dict[str, str]:
    """*parameters* with all that says where the volume is: they mean the same place when the configuration changes."""
    settings = at(parameters, config)
    where = {"driver": settings.driver, "pool": settings.pool, "namespace": settings.namespace}
    return {key: value for key, value in parameters.items() if key not in _KEYS} | where


def shown(parameters: Mapping[str, str], volume: str) -> str:
    """The place of *volume*, of which *parameters* are explicit, for a person."""
    name = "/".join(part for part in (parameters["pool"], parameters["namespace"], volume) if part)
    return f"{parameters['driver']}:{name}"


def changes(recorded: Mapping[str, str], wanted: Mapping[str, str], config: str = CONFIG_FILE) -> dict[str, str]:
    """What to tell Ganeti for a disk with the *recorded* parameters to be in the place that *wanted* (explicit) says:
    new values, and ``default`` for what is to go."""
    told = {key: wanted[key] for key in _KEYS if wanted[key]}
    if not wanted["namespace"] and at({**told, "driver": wanted["driver"]}, config).namespace:
        told["namespace"] = ""  # the configured namespace would hold otherwise
    gone = {key: _DEFAULT for key in _KEYS if key in recorded and key not in told}
    return gone | {key: value for key, value in told.items() if recorded.get(key) != value}
