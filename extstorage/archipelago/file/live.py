# SPDX-License-Identifier: BSD-2-Clause
"""What the daemon of a mapping does with an overlay while it has it open. See QEMU's QMP reference, "Block devices"."""

from __future__ import annotations

import json
import mmap
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from archipelago.contract.volumes import Progress
from archipelago.file import data
from archipelago.file.layout import Layout
from archipelago.file.records import Chain
from archipelago.file.serving import drive
from archipelago.mapping.fuse import FuseLoop
from ganeti_cloud.errors import StorageError
from ganeti_cloud.process import run
from ganeti_cloud.qmp import Client, Refused, monitor

_STEP_S = 30.0
_PIECE = 4 << 20
_FILL = "fill"


def follow(layout: Layout, volume: str, chain: Chain) -> None:
    """Have this node's daemon of *volume* write to the top of *chain*, an overlay over what it has open now.

    Succeeds when it does so already. Raises CloudError when it cannot.
    """
    with monitor(_socket(volume)) as client:
        _follow(client, layout, volume, chain)


def _follow(client: Client, layout: Layout, volume: str, chain: Chain) -> str:
    """The block node of the top of *chain*, which is now what is exported."""
    [node] = [export["node-name"] for export in client.execute("query-block-exports") if export["id"] == "volume"]
    nodes = client.execute("query-named-block-nodes", {"flat": True})
    [path] = [_path(entry["file"]) for entry in nodes if entry["node-name"] == node]
    top, *below = (layout.data(file) for file in chain)
    if path == top:
        return str(node)
    if path not in below:  # such as the daemon of a volume of this name in another pool, while it moves
        raise _no_daemon(volume)
    new = f"overlay-{os.urandom(4).hex()}"
    client.execute("blockdev-add", {**drive(top, new), "backing": None})
    client.execute("blockdev-snapshot", {"node": node, "overlay": new}, timeout_s=_STEP_S)
    return new


def _path(named: str) -> str:
    """The file of a block node that QEMU has *named*: by its path, or with all options when it was given a backing
    node by hand."""
    if not named.startswith("json:"):
        return named
    return str(json.loads(named.removeprefix("json:"))["file"]["filename"])


def flatten(layout: Layout, volume: str, chain: Chain, progress: Progress) -> None:
    """Have this node's daemon of *volume* copy all of *chain* into the overlay on top, and cut that off from the rest.

    QEMU's jobs for this refuse a drive that can be resized, which a FUSE export always can. So all of it is read once
    through a copy-on-read filter: that copies what the overlay does not have, in order with what the instance writes.
    """
    socket = _socket(volume)
    with _filled(socket, layout, volume, chain) as path:
        _read_all(path, progress)
    with monitor(socket) as client:
        node = _follow(client, layout, volume, chain)
        arguments = {"device": node, "image-node-name": node, "backing-file": ""}
        client.execute("change-backing-file", arguments, timeout_s=_STEP_S)


@contextmanager
def _filled(socket: str, layout: Layout, volume: str, chain: Chain) -> Iterator[str]:
    """A file, within the block: reading it copies into the overlay on top of *chain* what that does not have."""
    path = f"{socket}.{_FILL}"
    _end_filling(socket, path)
    with open(path, "wb"):
        pass
    try:
        with monitor(socket) as client:
            below = _follow(client, layout, volume, chain)
            client.execute("blockdev-add", {"driver": "copy-on-read", "node-name": _FILL, "file": below})
            export = {"type": "fuse", "id": _FILL, "node-name": _FILL, "mountpoint": path, "writable": False}
            client.execute("block-export-add", export)
        yield path
    finally:
        _end_filling(socket, path)


def _end_filling(socket: str, path: str) -> None:
    with monitor(socket) as client:
        exports = [export["id"] for export in client.execute("query-block-exports")]
        if _FILL in exports:
            client.execute("block-export-del", {"id": _FILL, "mode": "hard"})
        for _ in range(100):
            try:
                client.execute("blockdev-del", {"node-name": _FILL})
            except Refused as err:
                if "find" in str(err):
                    break  # there is none
                time.sleep(0.05)  # the export is about to let go of it
    if os.path.ismount(path):
        run(["umount", "--lazy", "--", path], timeout_s=_STEP_S)
    if os.path.exists(path):
        os.unlink(path)


def _read_all(path: str, progress: Progress) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        size = os.fstat(descriptor).st_size
        with mmap.mmap(-1, _PIECE) as buffer:  # O_DIRECT wants memory that begins with a page
            at = 0
            while at < size:
                at += os.preadv(descriptor, [buffer], at)
                progress(100 * at / size)
    finally:
        os.close(descriptor)


def _socket(volume: str) -> str:
    path = FuseLoop().monitor(volume)
    if path is None:
        raise _no_daemon(volume)
    return path


def _no_daemon(volume: str) -> StorageError:
    return StorageError(
        f"the mapping of volume {volume} on this node is not alive",
        hint="run `gnt-instance deactivate-disks` and `activate-disks` for its instance, and try again",
    )


def is_whole(layout: Layout, file: str) -> bool:
    """Whether *file* needs no other file."""
    if data.format_of(file) == "raw":
        return True
    with open(layout.data(file), "rb") as stream:
        return stream.read(20)[16:20] == bytes(4)  # the length of the backing file's name
