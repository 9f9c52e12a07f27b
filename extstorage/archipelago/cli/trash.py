# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``archipelago trash``."""

from __future__ import annotations

import time

import click

from archipelago import collecting
from archipelago.cli.common import json_option, opened_store, say, table
from archipelago.collecting import Finding
from archipelago.contract.volumes import TrashRecord
from archipelago.store import Store
from ganeti_cloud.errors import RequestError
from ganeti_cloud.volume import checked_name


@click.group()
def trash() -> None:
    """Volumes that were removed and can be brought back.

    \b
    Examples:
      archipelago trash list
      archipelago trash restore 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0
    """


@trash.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List what is in the trash, the oldest removal first: name, since when, kept until when, snapshots, clones.

    \b
    Example:
      archipelago trash list
    """
    with opened_store() as store:
        records = store.trashed()
    rows = [
        (each.name, each.removed, each.kept_until, ", ".join(each.snapshots) or "-", ", ".join(each.clones) or "-")
        for each in records
    ]
    headings = ("NAME", "REMOVED", "KEPT UNTIL", "SNAPSHOTS", "CLONES")
    say(as_json, [record._asdict() for record in records], table(headings, rows))


@trash.command("restore")
@click.argument("name")
@json_option
def restore(name: str, as_json: bool) -> None:
    """Bring the volume NAME back, with its snapshots; of several of that name the one that was removed last.

    It belongs to no instance then. A new disk can take it over with its parameter reuse_data.

    \b
    Examples:
      archipelago trash restore 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0
      gnt-instance modify --disk add:size=20G,provider=archipelago,reuse_data=3e2f9a6a-...-0a1b2c3d4e5f.ext.disk0 web1
    """
    with opened_store() as store:
        record = _of_name(store, name)[-1]
        store.restore(record)
    say(as_json, record._asdict(), f"volume {name} is back, as it was at {record.removed}")


@trash.command("purge")
@click.argument("name", required=False)
@click.option("--now", is_flag=True, help="With NAME: remove it even if it is to be kept longer.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed.")
@json_option
def purge(name: str | None, now: bool, dry_run: bool, as_json: bool) -> None:
    """Remove for good what is in the trash and need not be kept longer, or all that is called NAME.

    What clones share data with stays, and goes with a later purge after they have gone.

    \b
    Examples:
      archipelago trash purge --dry-run
      archipelago trash purge --now test-upgrade
    """
    if now and name is None:
        raise RequestError("--now needs a name", hint="`archipelago trash list` shows what there is")
    with opened_store() as store:
        records = store.trashed() if name is None else _of_name(store, name)
        found = collecting.expired(records, float("inf") if now else time.time())
        if not dry_run:
            for each in found:
                collecting.collect(store, each)
    say(as_json, [_asdict(each) for each in found], "\n".join(_told(each, dry_run) for each in found))


def _of_name(store: Store, name: str) -> list[TrashRecord]:
    records = [record for record in store.trashed() if record.name == checked_name(name)]
    if not records:
        raise RequestError(f"there is no {name} in the trash", hint="`archipelago trash list` shows what there is")
    return records


def _asdict(finding: Finding) -> dict[str, str]:
    return {"action": finding.action, "name": finding.name, "why": finding.why}


def _told(finding: Finding, dry_run: bool) -> str:
    if finding.action == "stays":
        return f"{finding.name} stays: {finding.why}"
    return f"{finding.name} would be removed" if dry_run else f"{finding.name} removed"
