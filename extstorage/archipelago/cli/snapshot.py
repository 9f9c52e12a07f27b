# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``archipelago snapshot``."""

from __future__ import annotations

import click

from archipelago.cli.common import json_option, opened_store, say, shown_size, snapshot_of, table
from ganeti_cloud.volume import checked_name


@click.group()
def snapshot() -> None:
    """The snapshots of volumes. `archipelago volume snapshot` takes them.

    \b
    Examples:
      archipelago snapshot list 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0
      archipelago snapshot remove 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0@before-upgrade
    """


@snapshot.command("list")
@click.argument("volume")
@json_option
def list_(volume: str, as_json: bool) -> None:
    """List the snapshots of VOLUME, the oldest first: name, time, size of the volume then, clones.

    \b
    Example:
      archipelago snapshot list 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0
    """
    with opened_store() as store:
        records = store.snapshots(checked_name(volume))
    rows = [(each.name, each.taken, shown_size(each.size), ", ".join(each.clones) or "-") for each in records]
    say(as_json, [record._asdict() for record in records], table(("NAME", "TAKEN", "SIZE", "CLONES"), rows))


@snapshot.command("remove")
@click.argument("name", metavar="VOLUME@SNAPSHOT")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed.")
@json_option
def remove(name: str, dry_run: bool, as_json: bool) -> None:
    """Remove a snapshot. Volumes that were cloned from it keep their data; one that is gone already is no error.

    \b
    Example:
      archipelago snapshot remove 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0@before-upgrade
    """
    volume, taken = snapshot_of(name)
    with opened_store() as store:
        if dry_run:
            there = any(record.name == taken for record in store.snapshots(volume))
            say(as_json, {"snapshot": name, "there": there}, f"would remove {name}" if there else _absent(name))
            return
        removed = store.remove_snapshot(volume, taken)
    say(as_json, {"snapshot": name, "removed": removed}, f"snapshot {name} removed" if removed else _absent(name))


def _absent(name: str) -> str:
    return f"there is no snapshot {name}, nothing to do"
