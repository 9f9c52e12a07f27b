# SPDX-License-Identifier: BSD-2-Clause
"""The command ``snf-image check``."""

from __future__ import annotations

import json

import click

from ganeti_cloud.checkup import exit_status
from ganeti_cloud.deadline import process_limit
from ganeti_cloud.errors import CloudError

_LIMIT_S = 120.0


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def check(as_json: bool) -> int:
    """Say whether this node can deploy, why not, and what to do about it.

    Nothing is changed. OK works, NO is not there and not needed, WARN works and should be changed, FAIL does not work.
    The exit status is 1 when anything failed.

    \b
    Examples:
      snf-image check
      snf-image check --json | jq -r '.[] | select(.state == "FAIL") | .remedy'
    """
    from snf_image.checking import examine

    late = CloudError(
        f"the examination did not end within {_LIMIT_S:g} s", hint="what comes after the last line is what hangs"
    )
    found = []
    with process_limit(_LIMIT_S, late):
        for each in examine():
            found.append(each)
            if not as_json:
                click.echo("\n".join(each.lines()))
    if as_json:
        click.echo(json.dumps([each._asdict() for each in found]))
    return exit_status(found)
