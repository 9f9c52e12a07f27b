# SPDX-License-Identifier: BSD-2-Clause
"""What the commands of ``archipelago`` have in common."""

from __future__ import annotations

import click

from archipelago.attached import CONFIG_FILE
from archipelago.parameters import MANUAL, OPTIONS, Settings
from ganeti_cloud.config import Values, load
from ganeti_cloud.volume import MIB

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def config_values() -> Values:
    """The value of every key of the configuration file. Raises ConfigError."""
    return load(CONFIG_FILE, OPTIONS, MANUAL)


def settings() -> Settings:
    """The settings of this node. Raises ConfigError."""
    return Settings.load(CONFIG_FILE)


def shown_size(size: int) -> str:
    """*size* in bytes, for a person."""
    if size < MIB:
        return f"{size} bytes"
    return f"{size / MIB:.0f} MiB" if size < 10 << 30 else f"{size / (1 << 30):.1f} GiB"
