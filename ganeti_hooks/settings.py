# SPDX-License-Identifier: BSD-2-Clause
"""What the site says, in /etc/ganeti-cloud/hooks.toml."""

from __future__ import annotations

from ganeti_cloud import config

CONFIG_FILE = f"{config.FOLDER}/hooks.toml"
MANUAL = "hooks.toml(5)"


def _prefixes(raw: object) -> tuple[str, ...]:
    if not isinstance(raw, list) or not all(isinstance(each, str) and each for each in raw):
        raise ValueError("a list of texts, none of them empty")
    return tuple(raw)


OPTIONS = (
    config.Option(
        "instances", "prefixes", (), _prefixes, "Events are told of instances whose name begins so; [] is all of them."
    ),
)


def prefixes(path: str = CONFIG_FILE) -> tuple[str, ...]:
    """How the names of instances begin of which events are told; () is any name. Raises ConfigError."""
    values: tuple[str, ...] = config.load(path, OPTIONS, MANUAL)["instances", "prefixes"]
    return values
