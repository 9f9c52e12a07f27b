# SPDX-License-Identifier: BSD-2-Clause
"""What the commands of ``archipelago`` have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from archipelago.attached import CONFIG_FILE
from archipelago.parameters import MANUAL, OPTIONS, Settings
from archipelago.store import Store, opened
from ganeti_cloud.config import Values, load
from ganeti_cloud.errors import RequestError
from ganeti_cloud.volume import MIB, checked_name, checked_snapshot

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

# The options of the program itself that say where volumes are; they stand for the disk parameters of these names.
PLACE = ("driver", "pool", "namespace")


def config_values() -> Values:
    """The value of every key of the configuration file. Raises ConfigError."""
    return load(CONFIG_FILE, OPTIONS, MANUAL)


def settings() -> Settings:
    """The settings of this node, with what the command line says of the place. Raises ConfigError and RequestError."""
    given = click.get_current_context().find_root().params
    return Settings.load(CONFIG_FILE, {key: given[key] for key in PLACE if given.get(key) is not None})


@contextmanager
def opened_store() -> Iterator[Store]:
    """The store that :func:`settings` name."""
    with opened(settings()) as store:
        yield store


def snapshot_of(text: str) -> tuple[str, str]:
    """The volume and the snapshot in VOLUME@SNAPSHOT. Raises RequestError."""
    volume, at, name = text.partition("@")
    if not at:
        raise RequestError(f"{text!r} names no snapshot", hint="write VOLUME@SNAPSHOT")
    return checked_name(volume), checked_snapshot(name)


def say(as_json: bool, value: object, text: str) -> None:
    """Print the result of a command: *value* as JSON, or *text* for a person."""
    if as_json:
        click.echo(json.dumps(value))
    elif text:
        click.echo(text)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """*rows* below *headings*, in columns; nothing without rows."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    return "\n".join(
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (headings, *rows)
    )


def shown_size(size: int) -> str:
    """*size* in bytes, for a person."""
    if size < MIB:
        return f"{size} bytes"
    return f"{size / MIB:.0f} MiB" if size < 10 << 30 else f"{size / (1 << 30):.1f} GiB"
