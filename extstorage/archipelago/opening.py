# SPDX-License-Identifier: BSD-2-Clause
"""What ``open`` and ``close`` do with the store and the mapping of this node together.

Beside the opening that the store keeps, a *mark* on this node says that the volume is open here. By it ``detach`` knows
whether the store has to be told. After a reboot there is no mark, as there is no mapping.
"""

from __future__ import annotations

import os
import time

from archipelago.attached import RUN_FOLDER, forget
from archipelago.contract.openings import Opening
from archipelago.locking import locked
from archipelago.mapping import choosing
from archipelago.mapping.kernel import users_of
from archipelago.migrating import mark
from archipelago.parameters import Settings
from archipelago.store import Store, opened
from ganeti_cloud.errors import CloudError, StorageError
from ganeti_cloud.process import run

# Flushing is writing what the kernel still holds; a cluster that does not answer shows in it.
_FLUSH_S = 30.0

# A client whose connection was lost for a moment, as when an OSD is restarted, is back at its volume within this.
_PATIENCE_S = 3.0
_LOOK_S = 0.5


def open_volume(volume: str, settings: Settings, *, exclusive: bool, by_mover: bool = False) -> list[Opening]:
    """Have *volume* open on this node, by a mapping that the store accepts; returns whom that has fenced.

    A mapping that was fenced, or died, is made anew under the same device. Raises StorageError when that cannot be,
    and what :meth:`archipelago.contract.openings.Openings.open_volume` does; also, to all but the one that moves it
    (*by_mover*), when the volume is moving.
    """
    with locked(volume), opened(settings) as store:
        _mark(volume)
        result = store.open_volume(volume, exclusive=exclusive)
        if not result.served:
            _heal(store, volume)
        # Only now: whoever begins to move a volume that nobody has open sees this opening, or is seen here.
        if not by_mover:
            mark.refuse_moving(store, volume)
        return result.fenced


def close_volume(volume: str, settings: Settings) -> None:
    """Write out what the kernel holds of *volume*, and have it not open on this node. Succeeds when it is gone.

    Its device goes, too, if nothing uses it: after a migration that failed or was interrupted, Ganeti may close the
    volume on the target and never detach it.
    """
    with locked(volume):
        mapped = choosing.find(settings, volume)
        if mapped is not None:
            run(["blockdev", "--flushbufs", mapped.device], timeout_s=_FLUSH_S, hint="see `ceph -s`, and try again")
        with opened(settings) as store:
            store.close_volume(volume)
        _unmark(volume)
        if mapped is not None and not users_of(mapped.device):
            forget(volume)
            try:
                choosing.unmap(settings, volume)
            except StorageError:
                pass  # used by the kernel itself, for a mount: it stays until somebody detaches it


def give_up(volume: str, settings: Settings) -> None:
    """Close *volume*, which is not mapped any more; the caller holds its lock. It never fails.

    An opening that stays because the store does not answer names clients that are gone: whoever fences them does no
    harm.
    """
    if not is_marked(volume):
        return
    try:
        with opened(settings) as store:
            store.close_volume(volume)
    except CloudError:
        pass
    _unmark(volume)


def is_marked(volume: str) -> bool:
    """Whether *volume* was opened on this node and not closed since."""
    return os.path.exists(_mark_path(volume))


def _heal(store: Store, volume: str) -> None:
    """See that the device of *volume*, if it has one here, is one that the store knows as its client."""
    mapped = choosing.find(store.settings, volume)
    end = time.monotonic() + _PATIENCE_S
    while True:
        if mapped is None or store.renew_opening(volume):
            return
        if time.monotonic() > end:
            break
        time.sleep(_LOOK_S)
    users = users_of(mapped.device)
    if users:
        raise StorageError(
            f"{mapped.device} of volume {volume} was fenced, or lost its connection, and is in use by process "
            f"{', '.join(users)}",
            hint="stop the instance that still uses it on this node, and try again",
        )
    forget(volume)
    again = choosing.map_again(store.settings, volume)
    store.renew_opening(volume)
    if again is None or again.device != mapped.device:
        raise StorageError(
            f"{mapped.device} of volume {volume} was fenced, or died, and the kernel gave another device for it",
            hint="run the operation again: it begins with the new device",
        )


def _mark_path(volume: str) -> str:
    return f"{RUN_FOLDER}/{volume}.open"


def _mark(volume: str) -> None:
    with open(_mark_path(volume), "wb"):
        pass


def _unmark(volume: str) -> None:
    try:
        os.unlink(_mark_path(volume))
    except FileNotFoundError:
        pass
