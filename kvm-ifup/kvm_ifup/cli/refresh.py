# SPDX-License-Identifier: BSD-2-Clause
"""The command ``kvm-ifup refresh``."""

from __future__ import annotations

import click

from ganeti_cloud.errors import GanetiError, RequestError
from ganeti_cloud.luxi import Luxi
from kvm_ifup import settings
from kvm_ifup.running import assembly, refreshing


@click.command()
@click.argument("instance")
@click.option("--tags", help="The instance's tags, with spaces between them.  [Ganeti's, on the master]")
@click.option("--dry-run", is_flag=True, help="Only print what would change.")
def refresh(instance: str, tags: str | None, dry_run: bool) -> None:
    """Give the running INSTANCE the firewall profiles and rates that its tags say now. Its connections stay.

    Each NIC is changed in one step, and keeps what it has when that fails. Repeating it changes nothing.

    \b
    Examples:
      kvm-ifup refresh web1.example.com
      kvm-ifup refresh web1.example.com --tags "synnefo:network:0:limited"
    """
    site = settings.load()
    said = _tags(instance) if tags is None else tags
    changes = refreshing.refresh(assembly.node(site), site, instance, said, dry_run=dry_run)
    for each in changes:
        click.echo(f"{each.tap}: {each.what}")


def _tags(instance: str) -> str:
    """The tags that Ganeti has of *instance*."""
    try:
        with Luxi() as ganeti:
            rows = ganeti.query("instance", ["tags"], ["=", "name", instance])
    except GanetiError as err:
        hint = f'this is not the master: give --tags "$(gnt-instance list --no-headers -o tags {instance})"'
        raise GanetiError(f"the tags of {instance} are not known here: {err}", hint=hint) from err
    if not rows:
        raise RequestError(f"Ganeti has no instance {instance}", hint="give its full name; gnt-instance list has them")
    return " ".join(rows[0][0])
