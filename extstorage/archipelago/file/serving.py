# SPDX-License-Identifier: BSD-2-Clause
"""How the daemon of a mapping opens a volume."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from archipelago.file import data, openings, qemu
from archipelago.file.layout import of_volumes, prepared
from archipelago.file.locks import named
from archipelago.file.volumes import require
from archipelago.parameters import Settings
from ganeti_cloud.errors import CommandError, StorageError


@contextmanager
def served(settings: Settings, volume: str) -> Iterator[list[str]]:
    """The daemon's command line, up to its name and the drive, to be run within the block.

    It holds a lock for as long as it lives: util-linux's flock takes it and turns into the daemon, which inherits it.
    Raises StorageError when this node's QEMU is not sound, or the volume is an overlay that another node has attached.
    """
    qemu.refuse_unsound()
    layout = prepared(of_volumes(settings))
    with named(layout, volume):
        head = require(layout, volume).chain[0]
        if data.format_of(head) == "qcow2":
            _refuse_second(volume, [h for h in openings.attached(layout, volume) if h != openings.this_host()])
        lock = openings.lock_file(layout, volume)
        argument = f"--blockdev={json.dumps(drive(layout.data(head), 'volume'))}"
        try:
            yield ["flock", "--no-fork", "--nonblock", "--", lock, "qemu-storage-daemon", argument]
        except CommandError as err:
            if 'Failed to get "write" lock' in str(err):
                _refuse_second(volume, ["another node"])
            raise


def _refuse_second(volume: str, hosts: list[str]) -> None:
    if hosts:
        raise StorageError(
            f"volume {volume} is an overlay, attached on {', '.join(hosts)}; one can be on one node at a time",
            hint="use `gnt-instance failover`; or stop the instance, and `gnt-instance deactivate-disks` and "
            f"`archipelago volume flatten {volume}` make the volume fit for live migration",
        )


def ended(settings: Settings, volume: str) -> None:
    """Take note that this node's daemon of *volume* has ended."""
    openings.detached(of_volumes(settings), volume)


def drive(path: str, node: str) -> dict[str, Any]:
    """The block device *node* over the file of data at *path*, as QEMU's blockdev-add takes it."""
    # Another node's writes must be seen: a live migration has the volume open twice.
    cache = {"direct": _takes_direct(path)}
    file = {"driver": "file", "filename": path, "discard": "unmap", "cache": cache}
    return {
        "driver": data.format_of(path),
        "node-name": node,
        "file": file,
        "discard": "unmap",
        "detect-zeroes": "off",
        "cache": cache,
    }


def _takes_direct(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_DIRECT))
    except OSError:
        return False
    return True
