# SPDX-License-Identifier: BSD-2-Clause
"""The command ``kvm-ifup reconcile``."""

from __future__ import annotations

import json

import click

from kvm_ifup import settings
from kvm_ifup.running import assembly, overflowing, reconciling


@click.command()
@click.option("--dry-run", is_flag=True, help="Only print what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(dry_run: bool, as_json: bool) -> int:
    """Compare the taps with what they should be, and put right what differs.

    What was left of taps that are gone is taken away; what is missing of one is made again, and where that fails it
    is closed. A timer calls this every minute. The exit status is 1 when anything could not be put right.

    \b
    Examples:
      kvm-ifup reconcile --dry-run
      kvm-ifup reconcile
    """
    loaded = settings.load()
    node = assembly.node(loaded)
    done = reconciling.reconcile(node, dry_run=dry_run)
    if as_json:
        click.echo(json.dumps([each._asdict() for each in done], indent=1))
    else:
        for each in done:
            failure = f": failed: {each.error}" if each.error else ""
            click.echo(f"{each.tap}: {each.what}; {each.remedy}{failure}")
    if not dry_run:
        overflowing.tell(node.states.folder, assembly.filter_(loaded).overflows(), node.tell)
    return 1 if any(each.error for each in done) else 0
