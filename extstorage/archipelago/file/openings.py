# SPDX-License-Identifier: BSD-2-Clause
"""Who has a volume attached, and who has it open.

``open/<volume>/<host>.lock`` is locked by the daemon of that host's mapping, as long as that lives: then the volume is
*attached* there. ``open/<volume>/<host>.json`` is the *opening* of that host. One beside a free lock is that of a dead
node, and counts for nothing.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archipelago.contract.openings import Opened, Opening
from archipelago.file.layout import Layout
from archipelago.file.locks import is_held, named, taken
from ganeti_cloud.errors import StorageError
from ganeti_cloud.files import replace_file


def this_host() -> str:
    """What this node is called in openings."""
    return os.uname().nodename


def lock_file(layout: Layout, volume: str) -> str:
    """The file that the daemon of this node's mapping of *volume* has to hold a lock on; its folder is made."""
    os.makedirs(layout.path("open", volume), mode=0o700, exist_ok=True)
    return _path(layout, volume, this_host(), "lock")


def detached(layout: Layout, volume: str) -> None:
    """Take note that *volume* is not attached to this node any more; its opening is gone with that."""
    for kind in ("json", "lock"):
        _unlink(_path(layout, volume, this_host(), kind))
    _remove_folder(layout, volume)


def attached(layout: Layout, volume: str) -> list[str]:
    """The hosts on which *volume* is attached, whether it is open or not."""
    return [host for host in _hosts(layout, volume, "lock") if is_held(_path(layout, volume, host, "lock"))]


def openings(layout: Layout, volume: str) -> list[Opening]:
    """See :meth:`archipelago.contract.openings.Openings.openings`."""
    found = []
    for host in _hosts(layout, volume, "json"):
        try:
            with open(_path(layout, volume, host, "json"), encoding="utf-8") as stream:
                found.append(Opening(**json.loads(stream.read())))
        except FileNotFoundError:
            continue  # closed since it was listed
    return found


def open_volume(layout: Layout, volume: str, *, exclusive: bool) -> Opened:
    """See :meth:`archipelago.contract.openings.Openings.open_volume`.

    A node whose lock is free is dead, or the file system has taken the lock from it: it is fenced by that. One that is
    alive cannot be fenced.
    """
    with named(layout, volume):
        alive = attached(layout, volume)
        fenced = []
        for other in openings(layout, volume):
            if other.host == this_host():
                continue
            if other.host not in alive:
                fenced.append(other)
                _unlink(_path(layout, volume, other.host, "json"))
                _unlink(_path(layout, volume, other.host, "lock"))
            elif exclusive or other.exclusive:
                raise StorageError(
                    f"volume {volume} is open on {other.host}",
                    hint=f"stop the instance there, or run `gnt-instance deactivate-disks` for it; if {other.host} "
                    "is dead, its lock goes with its lease: try again in two minutes",
                )
        since = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        text = json.dumps(Opening(this_host(), exclusive, since)._asdict())
        os.makedirs(layout.path("open", volume), mode=0o700, exist_ok=True)
        replace_file(Path(_path(layout, volume, this_host(), "json")), text, mode=0o600)
        return Opened(fenced, this_host() in alive)


def serves(layout: Layout, volume: str) -> bool:
    """Whether the daemon of this node's mapping of *volume* holds its lock."""
    return is_held(_path(layout, volume, this_host(), "lock"))


def close_volume(layout: Layout, volume: str) -> None:
    """Have *volume* not open on this node. Succeeds when it was not."""
    _unlink(_path(layout, volume, this_host(), "json"))
    _remove_folder(layout, volume)


def drop_strangers(layout: Layout, volume: str) -> None:
    """See :meth:`archipelago.contract.openings.Moves.drop_strangers`. The mappings of other nodes do not count then.

    The daemon of such a mapping goes on with files that nothing names, until that node detaches the volume.
    """
    with named(layout, volume):
        opened = [opening.host for opening in openings(layout, volume)]
        for host in attached(layout, volume):
            if host != this_host() and host not in opened:
                _unlink(_path(layout, volume, host, "lock"))


def refuse_attached(layout: Layout, volume: str) -> None:
    """Raise StorageError when *volume* is attached anywhere; otherwise forget what dead nodes left."""
    hosts = attached(layout, volume)
    if hosts:
        raise StorageError(
            f"volume {volume} is still attached on {', '.join(hosts)}",
            hint="stop the instance there, or run `gnt-instance deactivate-disks` for it, and try again",
        )
    forget(layout, volume)


def forget(layout: Layout, volume: str) -> None:
    """Remove all notes about *volume*, which is attached nowhere."""
    for name in _entries(layout, volume):
        _unlink(layout.path("open", volume, name))
    _remove_folder(layout, volume)


@contextmanager
def kept(layout: Layout, volume: str) -> Iterator[None]:
    """Within the block *volume* counts as attached on this node, by this process. Raises StorageError when it is
    attached anywhere."""
    with named(layout, volume):
        refuse_attached(layout, volume)
        path = lock_file(layout, volume)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        lock = taken(path)
        if lock is None:
            raise StorageError(
                f"volume {volume} was attached on {this_host()} a moment ago", hint="see what uses it, and try again"
            )
    try:
        yield
    finally:
        detached(layout, volume)
        os.close(lock)


def _hosts(layout: Layout, volume: str, kind: str) -> list[str]:
    return [
        name.removesuffix(f".{kind}")
        for name in _entries(layout, volume)
        if name.endswith(f".{kind}") and name[0] != "."
    ]


def _entries(layout: Layout, volume: str) -> list[str]:
    try:
        return sorted(os.listdir(layout.path("open", volume)))
    except FileNotFoundError:
        return []


def _path(layout: Layout, volume: str, host: str, kind: str) -> str:
    return layout.path("open", volume, f"{host}.{kind}")


def _remove_folder(layout: Layout, volume: str) -> None:
    try:
        os.rmdir(layout.path("open", volume))
    except OSError:
        pass  # another node's notes are in it, or it was never made


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
