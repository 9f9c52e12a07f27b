# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``archipelago gc`` and ``archipelago maintain``: what has to be done from time to time."""

from __future__ import annotations

import re
import time

import click

from archipelago import collecting
from archipelago.cli.common import json_option, opened_store, say, table
from archipelago.cli.progress import Progress
from archipelago.collecting import Finding
from archipelago.contract.volumes import MaintainedElsewhere
from archipelago.ganeti import usage
from archipelago.store import Store
from ganeti_cloud.errors import CloudError, RequestError, StorageError, one_line

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_DONE = {"trash": "moved to the trash", "sweep": "swept up", "purge": "removed for good", "stays": "stays"}
_PLANNED = {"trash": "to the trash", "sweep": "sweep up", "purge": "remove for good", "stays": "stays"}


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if found is None:
        raise RequestError(f"{text!r} is not a time", hint="write a number and s, m, h or d: 1h, 30m, 7d")
    return float(found[1]) * _UNITS[found[2]]


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done.")
@click.option(
    "--older-than", "older", default="1h", show_default=True, help="Leave alone what is younger: 30m, 1h, 7d."
)
@json_option
def gc(dry_run: bool, older: str, as_json: bool) -> None:
    """Find what no disk, no image and no clone refers to, and put it into the trash.

    Ganeti is asked which volumes its disks are, also those detached from their instances. Volumes of another cluster,
    and those that a person made, are left alone, and so is what is open somewhere.

    \b
    Examples:
      archipelago gc --dry-run
      archipelago gc --older-than 7d --json
    """
    older_s = _seconds(older)
    with opened_store() as store:
        names = store.names()  # before Ganeti is asked: a disk that is made meanwhile is not on this list
        found = collecting.found(store, names, usage.asked(store.settings), older_s)
        outcome = found if dry_run else [_collected(store, finding) for finding in found]
        outcome += _contents(store, dry_run)
    rows = [((_PLANNED if dry_run else _DONE)[each.action], each.name, each.why) for each in outcome]
    value = [{"action": each.action, "name": each.name, "why": each.why} for each in outcome]
    say(as_json, value, table(("ACTION" if dry_run else "DONE", "NAME", "WHY"), rows))


def _contents(store: Store, dry_run: bool) -> list[Finding]:
    try:
        return collecting.contents(store, dry_run=dry_run)
    except StorageError as err:  # such as by a cluster that may only read the pool of the images
        return [Finding("stays", "contents of images", one_line(str(err)))]


def _collected(store: Store, finding: Finding) -> Finding:
    """What became of *finding*: one that is in use after all stays, and does not keep the others from going."""
    try:
        collecting.collect(store, finding)
    except StorageError as err:
        return finding._replace(action="stays", why=one_line(str(err)))
    return finding


@click.command()
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done.")
@json_option
def maintain(dry_run: bool, as_json: bool) -> None:
    """Flatten the volumes that are too deep clones, and remove for good what has expired in the trash.

    A timer runs it on every node; one at a time does the work.

    \b
    Example:
      archipelago maintain --dry-run
    """
    with opened_store() as store:
        try:
            outcomes = _planned(store) if dry_run else _maintained(store, as_json)
        except MaintainedElsewhere as err:
            click.echo(str(err), err=True)
            outcomes = []
    value = [{"name": name, "outcome": outcome} for name, outcome in outcomes]
    say(as_json, value, "\n".join(f"{name}: {outcome}" for name, outcome in outcomes))


def _planned(store: Store) -> list[tuple[str, str]]:
    expired = collecting.expired(store.trashed(), time.time())
    outcomes = [(name, "would be flattened") for name in store.too_deep()]
    return outcomes + [(each.name, "would be removed for good") for each in expired if each.action == "purge"]


def _maintained(store: Store, quiet: bool) -> list[tuple[str, str]]:
    with store.maintaining(), Progress(quiet=quiet) as progress:
        return [*_flattened(store, progress), *_purged(store)]


def _flattened(store: Store, progress: Progress) -> list[tuple[str, str]]:
    outcomes: dict[str, str] = {}
    # Asked again each time: what lay above a volume that was flattened has become shallower.
    while deep := [name for name in store.too_deep() if name not in outcomes]:
        name = deep[0]
        try:
            store.flatten(name, lambda percent: progress.show("flattening", percent))
            outcomes[name] = "flattened"
        except CloudError as err:
            outcomes[name] = one_line(str(err))
    return list(outcomes.items())


def _purged(store: Store) -> list[tuple[str, str]]:
    expired = [each for each in collecting.expired(store.trashed(), time.time()) if each.action == "purge"]
    done = [_collected(store, each) for each in expired]
    return [(each.name, "removed for good" if each.action == "purge" else each.why) for each in done]
