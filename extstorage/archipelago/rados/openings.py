# SPDX-License-Identifier: BSD-2-Clause
"""Who has a volume open, and fencing those who never closed it.

An opening is the xattr ``ganeti-cloud.open.<address>`` of the object ``rbd_id.<volume>``. A plain object: to change it
takes no lock of the image, which a dead client may hold. *address* is the node as the cluster sees it, and not its
name, because whom to fence is known by addresses: those of the clients that the node had at the volume when it
opened it, which are in the opening, those it has now, and the owner of the image's exclusive lock.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Iterable
from typing import NamedTuple

import rados
import rbd

from archipelago.contract.openings import Opened, Opening
from archipelago.rados import volumes
from archipelago.rados.cluster import Cluster, errno_of, holders, host_of
from archipelago.rados.volumes import OPENING
from ganeti_cloud.errors import StorageError

# A client that was out of reach for all of this time would not learn that it was fenced. Each fenced client is an entry
# of some hundred bytes in the osdmap for as long.
FENCE_S = 30 * 24 * 3600

# How often two nodes may cross each other before one gives up.
_TRIES = 5


class Entry(NamedTuple):
    """An opening as it is kept. *address* is the node's, *clients* those of the mappings that it had then."""

    address: str
    opening: Opening
    clients: list[str]

    def encode(self) -> bytes:
        """The value of the xattr."""
        return json.dumps({**self.opening._asdict(), "clients": self.clients}).encode()


def decode(address: str, value: bytes) -> Entry:
    """The opening of the node at *address*. One that cannot be read counts as exclusive."""
    try:
        kept = json.loads(value)
        opening = Opening(str(kept["host"]), bool(kept["exclusive"]), str(kept["since"]))
        return Entry(address, opening, [str(client) for client in kept["clients"]])
    except (ValueError, KeyError, TypeError):
        return Entry(address, Opening(address, exclusive=True, since="an unknown time"), [])


def victims(others: Iterable[Entry], watching: Iterable[str], owners: Iterable[str]) -> list[str]:
    """The clients to fence: those that *others* had, and which of *watching* and the lock's *owners* are theirs."""
    others = list(others)
    hosts = {entry.address for entry in others}
    known = {client for entry in others for client in entry.clients}
    return sorted(known | {client for client in (*watching, *owners) if host_of(client) in hosts})


def openings(cluster: Cluster, name: str) -> list[Opening]:
    """See :meth:`archipelago.contract.openings.Openings.openings`."""
    return [entry.opening for entry in _entries(cluster, name)]


def open_volume(cluster: Cluster, name: str, *, exclusive: bool) -> Opened:
    """See :meth:`archipelago.contract.openings.Openings.open_volume`."""
    for _ in range(_TRIES):
        entries = _entries(cluster, name)
        version = cluster.pool.get_last_version()
        others = [entry for entry in entries if entry.address != cluster.host]
        if exclusive:
            _fence(cluster, name, others)
        else:
            _refuse_exclusive(name, others)
        own = _own(cluster, name, exclusive=exclusive, since=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        if _replaced(cluster, name, own, others if exclusive else [], version):
            return Opened([entry.opening for entry in others] if exclusive else [], bool(own.clients))
    raise StorageError(
        f"volume {name} is being opened on several nodes at once",
        hint="see `gnt-job list` for what the cluster is doing with its instance",
    )


def renew(cluster: Cluster, name: str) -> bool:
    """See :meth:`archipelago.contract.openings.Openings.renew_opening`."""
    for _ in range(_TRIES):
        kept = [entry.opening for entry in _entries(cluster, name) if entry.address == cluster.host]
        version = cluster.pool.get_last_version()
        exclusive, since = (kept[0].exclusive, kept[0].since) if kept else (False, "")
        own = _own(cluster, name, exclusive=exclusive, since=since)
        if not kept or _replaced(cluster, name, own, [], version):
            return bool(own.clients)
    return False


def close_volume(cluster: Cluster, name: str) -> None:
    """See :meth:`archipelago.contract.openings.Openings.close_volume`."""
    try:
        cluster.pool.rm_xattr(f"rbd_id.{name}", OPENING + cluster.host)
    except rados.ObjectNotFound:
        pass


def _entries(cluster: Cluster, name: str) -> list[Entry]:
    try:
        kept = list(cluster.pool.get_xattrs(f"rbd_id.{name}"))
    except rados.ObjectNotFound:
        volumes.check(cluster, name)
        raise
    return [decode(key.removeprefix(OPENING), value) for key, value in kept if key.startswith(OPENING)]


def _own(cluster: Cluster, name: str, *, exclusive: bool, since: str) -> Entry:
    clients = [client for client in holders(cluster.pool, name) if host_of(client) == cluster.host]
    return Entry(cluster.host, Opening(os.uname().nodename, exclusive, since), clients)


def _replaced(cluster: Cluster, name: str, own: Entry, gone: Iterable[Entry], version: int) -> bool:
    """Write *own* and remove those *gone*, in one step; False when somebody has changed one since *version*."""
    with rados.WriteOpCtx() as write:
        write.assert_version(version)
        write.set_xattr(OPENING + own.address, own.encode())
        for entry in gone:
            write.rm_xattr(OPENING + entry.address)
        try:
            cluster.pool.operate_write_op(write, f"rbd_id.{name}")
        except rados.Error as err:
            if errno_of(err) in (errno.ERANGE, errno.EOVERFLOW):
                return False
            raise
    return True


def _fence(cluster: Cluster, name: str, others: list[Entry]) -> None:
    """See that no client of *others* can write to volume *name* any more, and that none of them owns its lock."""
    if not others:
        return
    with rbd.Image(cluster.pool, name) as image:  # not read-only: then it does not tell who owns the lock
        watching = [watcher["addr"] for watcher in image.watchers_list()]
        owners = [owner["owner"] for owner in image.lock_get_owners()]
        fenced = victims(others, watching, owners)
        for address in fenced:
            cluster.evict(address, FENCE_S)
        for owner in owners:
            if owner in fenced:
                _break_lock(image, owner)


def _break_lock(image: rbd.Image, owner: str) -> None:
    try:
        image.lock_break(rbd.RBD_LOCK_MODE_EXCLUSIVE, owner)
    except (rbd.ImageNotFound, rbd.ImageBusy):
        pass  # another client has taken it over since


def _refuse_exclusive(name: str, others: Iterable[Entry]) -> None:
    for entry in others:
        if entry.opening.exclusive:
            raise StorageError(
                f"volume {name} is open exclusively on {entry.opening.host} since {entry.opening.since}",
                hint=f"stop the instance there; if {entry.opening.host} is dead, `gnt-instance failover` fences it",
            )
