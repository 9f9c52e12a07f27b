# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``kvm-ifup up`` and ``down``: what Ganeti's scripts do, by hand."""

from __future__ import annotations

import json
import os

import click

from ganeti_cloud.errors import CloudError, RequestError
from ganeti_cloud.netvalues import is_interface_name
from kvm_ifup import settings
from kvm_ifup.running import assembly, encoding, entry, releasing, transaction
from kvm_ifup.running.state import State


@click.command()
@click.argument("tap", required=False)
@click.option("--dry-run", is_flag=True, help="Only check, and print as JSON what the tap would be.")
def up(tap: str | None, dry_run: bool) -> None:
    """Make TAP again from what Ganeti last said of it, or, without TAP, from what the environment says.

    Until all of it is there the tap is down, and it stays down when anything fails.

    \b
    Examples:
      kvm-ifup up tap0
      kvm-ifup up tap0 --dry-run | jq .profile
    """
    environ = dict(os.environ) if tap is None else _known(tap).environ
    if not dry_run:
        entry.up(environ)
        return
    port, node = entry.decided(environ)
    for part in node.parts:
        part.check(port)
    click.echo(json.dumps(encoding.encode(port), indent=1))


@click.command()
@click.argument("taps", metavar="TAP...", nargs=-1, required=True)
def down(taps: tuple[str, ...]) -> None:
    """Close each TAP and take away all that was made for it. Repeating it changes nothing.

    \b
    Examples:
      kvm-ifup down tap0
    """
    node = assembly.node(settings.load())
    failed: CloudError | None = None
    for tap in map(_checked, taps):
        try:
            done = transaction.down(node, tap)
        except CloudError as err:
            failed = failed or err
            continue
        click.echo(f"{tap}: {'ended' if done else 'nothing is known of it, nothing to do'}")
    if failed is not None:
        raise failed


@click.command()
@click.argument("instance")
def release(instance: str) -> None:
    """Take away what is left on this node of taps that INSTANCE has left. Repeating it changes nothing.

    The hooks of the package ganeti-cloud-hooks do so where a guest has stopped, moved away or lost a NIC.

    \b
    Examples:
      kvm-ifup release web1.example.com
    """
    taps = releasing.called(instance)
    for tap in taps:
        click.echo(f"{tap}: released")
    if not taps:
        click.echo(f"{instance} has left no tap here, nothing to do")


def _known(tap: str) -> State:
    state = assembly.node(settings.load()).states.read(_checked(tap))
    if not isinstance(state, State):
        raise RequestError(f"nothing is known of {tap}", hint="kvm-ifup show lists the taps; start the instance again")
    return state


def _checked(tap: str) -> str:
    if not is_interface_name(tap):
        raise RequestError(f"{tap!r} is not the name of an interface", hint="kvm-ifup show lists the taps")
    return tap
