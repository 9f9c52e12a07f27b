# SPDX-License-Identifier: BSD-2-Clause
"""The disks of the instance, as the copy and the helper machine open them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.errors import RequestError
from snf_image import serving
from snf_image.machine.running import MachineDisk
from snf_image.request import Disk

# What is zero in the image takes no space on a disk that can do without.
_THIN = ",discard=unmap,file.discard=unmap"


class Target(NamedTuple):
    """A disk: for the helper *machine*, and for the tools of QEMU as *options* and with the cache mode *cache*.

    Errors call it *shown*.
    """

    machine: MachineDisk
    options: str
    cache: str
    shown: str


@contextmanager
def opened(disk: Disk, cache: str, socket: Path) -> Iterator[Target]:
    """*disk* within the block: by its path when it has one, or else by its URI, served at *socket*.

    Raises RequestError when it is no disk, and CommandError when it cannot be opened.
    """
    if disk.path:
        yield _of_path(disk.path, cache)
        return
    with serving.uri(disk.uri, cache, socket) as path:
        shown = disk.uri.partition(":id=")[0]
        yield Target(MachineDisk("", path, cache), nbd_options(path) + _THIN, "writeback", shown)


def _of_path(path: str, cache: str) -> Target:
    try:
        mode = os.stat(path).st_mode
    except OSError as err:
        raise RequestError(f"{path}: {err.strerror}", hint="see `gnt-instance activate-disks`") from err
    if not stat.S_ISBLK(mode) and not stat.S_ISREG(mode):
        raise RequestError(f"{path} is neither a block device nor a file", hint="name the disk of an instance")
    driver = "host_device" if stat.S_ISBLK(mode) else "file"
    options = f"driver=raw,file.driver={driver},file.filename={path.replace(',', ',,')}{_THIN}"
    # Past the page cache of the node: nobody here reads it again.
    return Target(MachineDisk(path, "", cache), options, "none" if stat.S_ISBLK(mode) else "writeback", path)


def nbd_options(path: str) -> str:
    """The NBD server at the socket *path*, for the tools of QEMU."""
    return f"driver=raw,file.driver=nbd,file.server.type=unix,file.server.path={path.replace(',', ',,')}"
