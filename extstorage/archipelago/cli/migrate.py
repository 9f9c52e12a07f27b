# SPDX-License-Identifier: BSD-2-Clause
"""The command ``archipelago volume migrate``."""

from __future__ import annotations

import json

import click

from archipelago.cli.common import json_option
from archipelago.cli.progress import Progress
from archipelago.migrating.move import Move, Outcome, alone
from ganeti_cloud.errors import RequestError
from ganeti_cloud.volume import checked_name


@click.command("migrate")
@click.argument("volume")
@click.option(
    "--to",
    metavar="PLACE",
    help="Where to: rados, rados:POOL, rados:POOL/NAMESPACE, file or file:POOL. Not needed to finish a move.",
)
@click.option("--abort", is_flag=True, help="Undo a move that was interrupted, as long as the instance is not over.")
@click.option("--without-snapshots", is_flag=True, help="Move a volume with snapshots: they go to the trash.")
@click.option("-n", "--dry-run", is_flag=True, help="Check everything, and say what would be done.")
@json_option
def migrate(volume: str, to: str | None, abort: bool, without_snapshots: bool, dry_run: bool, as_json: bool) -> None:
    """Move VOLUME, the disk of an instance, to another pool or driver; the instance may run.

    It is done on the node of the instance. Interrupted anywhere, the move is finished by the same command, or undone
    with --abort; until then Ganeti cannot start, migrate or grow the instance.

    \b
    Examples:
      archipelago volume migrate 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0 --to rados:fast
      archipelago volume migrate 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0 --abort
    """
    if abort and to is not None:
        raise RequestError("--abort and --to exclude each other", hint="--abort goes back to where the volume was")
    with alone(checked_name(volume)), Progress(quiet=as_json) as progress:
        move = Move(volume, to, progress.show)
        if to is None and not abort and not move.begun:
            raise RequestError(
                f"volume {volume} is not being moved", hint="--to PLACE begins a move; there is nothing to finish"
            )
        if move.needless:
            _tell(as_json, move.outcome("nothing to do"))
            return
        if not move.begun and not abort:
            move.check(without_snapshots=without_snapshots)
        if dry_run:
            _tell(as_json, move.outcome("would undo" if abort else "would move"))
            return
        outcome = move.run(abort=abort)
    _tell(as_json, outcome)


def _tell(as_json: bool, outcome: Outcome) -> None:
    if as_json:
        click.echo(json.dumps(outcome._asdict()))
        return
    click.echo(f"volume {outcome.volume} of {outcome.instance}: {outcome.done}: {outcome.old} -> {outcome.new}")
