# SPDX-License-Identifier: BSD-2-Clause
"""The command ``nfdhcpd leases``."""

from __future__ import annotations

import click

from ganeti_cloud.errors import CloudError
from nfdhcpd import settings
from nfdhcpd.cli.options import config_file


@click.command()
@config_file
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def leases(path: str, as_json: bool) -> None:
    """Ask the daemon which guests it serves, and print a line for each: what it saw of it last, and when.

    \b
    Examples:
      nfdhcpd leases
      nfdhcpd leases --json | jq '.[] | select(.tap == "tap0")'
    """
    import json
    import time

    from ganeti_cloud.daemon.asking import ask
    from nfdhcpd.guests import leases as known

    listen = settings.load(path).service.listen
    if not listen:
        raise CloudError("the daemon tells nobody", hint=f"set listen in section [service] of {path}")
    text = ask(listen, "/leases", "nfdhcpd")
    if as_json:
        click.echo(text, nl=False)
        return
    for line in known.table(json.loads(text), time.time()):
        click.echo(line)
