# SPDX-License-Identifier: BSD-2-Clause
"""The commands ``archipelago volume``."""

from __future__ import annotations

import datetime

import click

from archipelago import attaching
from archipelago.cli.common import json_option, opened_store, say, settings, shown_size, snapshot_of, table
from archipelago.cli.progress import Progress
from archipelago.contract.volumes import Parent, VolumeRecord
from archipelago.ganeti.guard import refuse_disk
from archipelago.quiescing import Quiesce, quiesced
from ganeti_cloud.errors import RequestError
from ganeti_cloud.volume import MIB, checked_name, checked_snapshot, instance_of

_OUTCOMES = {
    "absent": "there is no volume {}, nothing to do",
    "removed": "volume {} removed",
    "trashed": "volume {} moved to the trash",
}


@click.group()
def volume() -> None:
    """The volumes: disks of instances, and what was made of them.

    \b
    Examples:
      archipelago volume list --long
      archipelago volume snapshot 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0 before-upgrade
    """


@volume.command("list")
@click.option("--long", "long_", is_flag=True, help="Look at each: size, what it takes, snapshots, owner, who has it.")
@json_option
def list_(long_: bool, as_json: bool) -> None:
    """List the volumes. Without --long none is opened, so thousands take no longer than ten.

    \b
    Examples:
      archipelago volume list
      archipelago volume list --long --json | jq -r '.[] | select(.owner == "") | .name'
    """
    with opened_store() as store:
        names = store.names()
        if not long_:
            say(as_json, names, "\n".join(names))
            return
        records = []
        for name in names:
            try:
                records.append(store.describe(name))
            except RequestError:
                continue  # gone since it was listed
    headings = ("NAME", "SIZE", "USED", "DEPTH", "SNAPSHOTS", "OWNER", "OPEN ON")
    say(as_json, [record._asdict() for record in records], table(headings, [_row(record) for record in records]))


def _row(record: VolumeRecord) -> tuple[str, ...]:
    return (
        record.name,
        shown_size(record.size),
        shown_size(record.used),
        str(record.depth),
        str(len(record.snapshots)),
        instance_of(record.owner) or "-",
        ", ".join(record.opened_by) or "-",
    )


@volume.command("info")
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show what is known of the volume NAME.

    \b
    Example:
      archipelago volume info 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0
    """
    with opened_store() as store:
        record = store.describe(checked_name(name))
    lines = {
        "name": record.name,
        "size": shown_size(record.size),
        "used": shown_size(record.used),
        "origin": record.origin or "blank",
        "depth": str(record.depth),
        "owner": instance_of(record.owner) or "-",
        "cluster": record.cluster or "-",
        "created": record.created,
        "named": record.named,
        "snapshots": ", ".join(record.snapshots) or "-",
        "clones": ", ".join(record.clones) or "-",
        "open on": ", ".join(record.opened_by) or "-",
    }
    say(as_json, record._asdict(), "\n".join(f"{key + ':':<11}{value}" for key, value in lines.items()))


@volume.command("snapshot")
@click.argument("name")
@click.argument("snapshot", required=False)
@click.option(
    "--quiesce",
    type=click.Choice([*Quiesce]),
    default=Quiesce.AUTO,
    show_default=True,
    help="Whether the guest's file systems stand still meanwhile: if they can, never, or else no snapshot.",
)
@json_option
def take_snapshot(name: str, snapshot: str | None, quiesce: str, as_json: bool) -> None:
    """Keep what the volume NAME holds now as its SNAPSHOT, by default called after the time in UTC.

    The instance may run. When its guest agent answers, on the node of the instance, the guest's file systems are clean
    in the snapshot; else it is what a power cut at this moment would leave.

    \b
    Examples:
      archipelago volume snapshot 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0
      archipelago volume snapshot --quiesce must 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0 before-upgrade
    """
    taken = snapshot or datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    checked_snapshot(taken)
    with quiesced(checked_name(name), Quiesce(quiesce)) as state, opened_store() as store:
        store.take_snapshot(name, taken)
    if state.remark:
        click.echo(f"not quiesced: {state.remark}", err=True)
    say(as_json, {"volume": name, "snapshot": taken, "quiesced": state.frozen}, f"{name}@{taken}")


@volume.command("rollback")
@click.argument("name")
@click.argument("snapshot")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be done, and whether it could be.")
@json_option
def rollback(name: str, snapshot: str, dry_run: bool, as_json: bool) -> None:
    """Make the volume NAME hold again what it held when SNAPSHOT was taken. What was written since is lost.

    Nobody may have the volume open. The snapshot stays.

    \b
    Example:
      archipelago volume rollback 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0 before-upgrade
    """
    with opened_store() as store:
        if dry_run:
            store.require_parent(_parent(checked_name(name), checked_snapshot(snapshot)))
            hosts = store.describe(name).opened_by
            state = f"refused while it is open on {', '.join(hosts)}" if hosts else "possible"
            say(as_json, {"volume": name, "snapshot": snapshot, "open_on": hosts}, f"rollback of {name}: {state}")
            return
        with Progress(quiet=as_json) as progress:
            store.roll_back(
                checked_name(name), checked_snapshot(snapshot), lambda percent: progress.show("restoring", percent)
            )
    say(as_json, {"volume": name, "snapshot": snapshot}, f"volume {name} is what it was at {snapshot}")


def _parent(name: str, snapshot: str) -> Parent:
    return Parent(f"snapshot:{name}@{snapshot}", name, snapshot, of_image=False)


@volume.command("clone")
@click.argument("snapshot", metavar="VOLUME@SNAPSHOT")
@click.argument("new")
@click.option("--size", type=click.IntRange(min=1), help="Size of the new volume in MiB, if it is to be larger.")
@json_option
def clone(snapshot: str, new: str, size: int | None, as_json: bool) -> None:
    """Make the volume NEW of a snapshot. It shares all data with it, so it is there at once and takes no space.

    \b
    Examples:
      archipelago volume clone 3e2f9a6a-4d0e-4c8b-9d1f-0a1b2c3d4e5f.ext.disk0@before-upgrade test-upgrade
      gnt-instance add -t ext --disk 0:size=20G,provider=archipelago,reuse_data=test-upgrade ...
    """
    name, taken = snapshot_of(snapshot)
    parent = _parent(name, taken)
    with opened_store() as store:
        store.require_parent(parent)
        [of_parent] = [record.size for record in store.snapshots(name) if record.name == taken]
        store.create(checked_name(new), max(of_parent, size * MIB) if size else of_parent, parent, "")
    say(as_json, {"volume": new, "origin": parent.text}, f"volume {new} made of {name}@{taken}")


@volume.command("flatten")
@click.argument("name")
@json_option
def flatten(name: str, as_json: bool) -> None:
    """Give the volume NAME all its data, so that it depends on no image and no other volume. Its instance may run.

    \b
    Example:
      archipelago volume flatten test-upgrade
    """
    with opened_store() as store, Progress(quiet=as_json) as progress:
        store.flatten(checked_name(name), lambda percent: progress.show("flattening", percent))
    say(as_json, {"volume": name}, f"volume {name} is independent")


@volume.command("rename")
@click.argument("name")
@click.argument("new")
@click.option("--force", is_flag=True, help="Do not ask Ganeti whether the volume is a disk of an instance.")
@json_option
def rename(name: str, new: str, force: bool, as_json: bool) -> None:
    """Call the volume NAME by the name NEW. Nobody may have it open, and it may be no disk of an instance.

    \b
    Example:
      archipelago volume rename test-upgrade upgrade-2026-11
    """
    with opened_store() as store:
        if not force:
            refuse_disk(settings(), name)
        store.rename(checked_name(name), checked_name(new))
    say(as_json, {"volume": new, "before": name}, f"volume {name} is called {new} now")


@volume.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Do not ask Ganeti whether the volume is a disk of an instance.")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed, and whether it could be.")
@json_option
def remove(name: str, force: bool, dry_run: bool, as_json: bool) -> None:
    """Remove the volume NAME. One with snapshots goes to the trash; one that is gone already is no error.

    \b
    Examples:
      archipelago volume remove test-upgrade
      archipelago trash restore test-upgrade
    """
    with opened_store() as store:
        if not force:
            refuse_disk(settings(), name)
        if dry_run:
            record = store.describe(checked_name(name))
            how = "move to the trash" if record.snapshots else "remove"
            say(as_json, record._asdict(), f"would {how} volume {name} ({shown_size(record.size)})")
            return
        attaching.detach(checked_name(name), settings())
        outcome = store.remove(name)
    say(as_json, {"volume": name, "outcome": outcome}, _OUTCOMES[outcome].format(name))
