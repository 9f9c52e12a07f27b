# SPDX-License-Identifier: BSD-2-Clause
"""What has to be so before a move is begun. Each function raises RequestError, StorageError or ConfigError."""

from __future__ import annotations

from archipelago.migrating.mirror import Mirror
from archipelago.migrating.side import Side
from archipelago.running import Running
from ganeti_cloud.errors import RequestError


def check_old(old: Side, *, without_snapshots: bool) -> None:
    """See that nothing is lost that the person did not mean to lose."""
    with old.store() as store:
        snapshots = store.describe(old.volume).snapshots
    if snapshots and not without_snapshots:
        raise RequestError(
            f"volume {old.volume} has snapshots, which cannot move: {', '.join(snapshots)}",
            hint="with --without-snapshots they go to the trash with the old volume; see `archipelago trash list`",
        )


def check_new(new: Side) -> None:
    """See that there is a store, and that it has no volume of that name."""
    with new.store() as store:
        store.check()
        if new.volume in store.names():
            raise RequestError(
                f"there is a volume {new.volume} in {new.shown} already",
                hint="if nobody needs it, remove it with `archipelago volume remove`, and try again",
            )


def check_running(found: Running, volume: str, mirror: Mirror) -> None:
    """See that the QEMU that runs on *volume* can mirror it."""
    if found.access != "kernelspace":
        raise RequestError(
            f"QEMU of {found.instance} opens volume {volume} by itself (access={found.access})",
            hint="stop the instance for the move",
        )
    mirror.refuse_busy()
    mirror.drive()


def refuse_open(old: Side, instance: str) -> None:
    """See that nobody has the volume of a stopped instance open: else Ganeti is about to start it."""
    with old.store() as store:
        hosts = [each.host for each in store.openings(old.volume)]
    if hosts:
        raise RequestError(
            f"the instance does not run, but volume {old.volume} is open on {', '.join(hosts)}",
            hint=f"run `gnt-instance deactivate-disks {instance}`, or start the instance",
        )
