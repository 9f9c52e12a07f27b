# SPDX-License-Identifier: BSD-2-Clause
"""The command ``archipelago doctor``."""

from __future__ import annotations

import json

import click

from archipelago.attached import CONFIG_FILE
from archipelago.cli.common import json_option
from ganeti_cloud.checkup import exit_status
from ganeti_cloud.deadline import process_limit
from ganeti_cloud.errors import StorageError

_LIMIT_S = 60.0


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Say what works on this node, and why not, and what to do about it.

    Nothing is changed. OK works, NO is not there and not needed, WARN works and should be changed, FAIL does not work.
    The exit status is 1 when anything failed.

    \b
    Examples:
      archipelago doctor
      archipelago doctor --json | jq -r '.[] | select(.state == "FAIL") | .remedy'
    """
    from archipelago.doctor.examination import examine

    late = StorageError(
        f"the examination did not end within {_LIMIT_S:g} s", hint="what comes after the last line is what hangs"
    )
    found = []
    with process_limit(_LIMIT_S, late):
        for check in examine(CONFIG_FILE):
            found.append(check)
            if not as_json:
                click.echo("\n".join(check.lines()))
    if as_json:
        click.echo(json.dumps([check._asdict() for check in found]))
    return exit_status(found)
