# SPDX-License-Identifier: BSD-2-Clause
"""The command ``ganeti-cloud-hooks status``."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from ganeti_hooks import linked, stamps


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> int:
    """Print each hook of this node: whether Ganeti finds our program there, and when it last ran.

    The exit status is 1 when any is not as the package makes it.

    \b
    Examples:
      ganeti-cloud-hooks status
      ganeti-cloud-hooks status --json | jq '.[] | select(.link != "linked")'
    """
    rows = linked.rows(linked.ROOT, stamps.FOLDER)
    if as_json:
        click.echo(json.dumps([row._asdict() for row in rows], indent=1))
    else:
        for row in rows:
            last = "never ran" if row.last_run is None else f"last ran {_shown(row.last_run)}"
            click.echo(f"{row.hook:29}{row.link:10}{last}")
            if row.link != linked.LINKED:
                click.echo(f"{'':29}{row.why}")
    return 1 if any(row.link != linked.LINKED for row in rows) else 0


def _shown(seconds: float) -> str:
    """In the time zone of whoever reads it."""
    return f"{datetime.fromtimestamp(seconds, UTC).astimezone():%Y-%m-%d %H:%M:%S}"
