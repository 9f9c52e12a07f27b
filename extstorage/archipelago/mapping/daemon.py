# SPDX-License-Identifier: BSD-2-Clause
"""The qemu-storage-daemon of a mapping: how it is started, for each driver. See qemu-storage-daemon(1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from archipelago import keyring
from archipelago.parameters import Settings

# QEMU's driver rbd knows no keyrings, but takes a key: from stdin, so that it is in no command line and no file.
_KEY_ARGUMENT = '--object={"qom-type": "secret", "id": "key", "format": "base64", "file": "/dev/stdin"}'


@contextmanager
def command(settings: Settings, volume: str, path: str) -> Iterator[list[str]]:
    """The daemon's command line, to be run within the block, but for what it shows where. *path* is its file."""
    if settings.driver == "rados":
        yield ["qemu-storage-daemon", *([_KEY_ARGUMENT] if settings.keyring else []), _drive_argument(settings, volume)]
        return
    from archipelago.file import serving

    with serving.served(settings, volume) as words:
        socket = f"--chardev=socket,id=monitor,path={monitor_path(path)},server=on,wait=off"
        yield [*words, socket, "--monitor=chardev=monitor"]


def key(settings: Settings) -> str:
    """What the daemon reads from stdin: the key, where one is to be given to it."""
    return keyring.key(settings) if settings.driver == "rados" and settings.keyring else ""


def manner(settings: Settings) -> str:
    """How a daemon that is started now reaches the store. One that was started otherwise is to be replaced."""
    return " ".join([settings.user, settings.conf, settings.keyring]).strip() if settings.driver == "rados" else "-"


def export_argument(path: str) -> str:
    """The daemon's argument that shows the volume as the file *path*."""
    export = {"type": "fuse", "id": "volume", "node-name": "volume", "mountpoint": path, "writable": True}
    return f"--export={json.dumps(export)}"


def monitor_path(path: str) -> str:
    """The monitor of the daemon that serves *path*: without the volume's name, as a socket's path has 107 bytes."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/{name.split('.')[-2]}.qmp"


def _drive_argument(settings: Settings, volume: str) -> str:
    """The daemon's argument that opens *volume* in RADOS."""
    drive = {
        "driver": "rbd",
        "node-name": "volume",
        "pool": settings.pool,
        **({"namespace": settings.namespace} if settings.namespace else {}),
        "image": volume,
        "user": settings.user,
        "conf": settings.conf,
        **({"key-secret": "key"} if settings.keyring else {}),
        "discard": "unmap",
        "cache": {"direct": True},  # another node's writes must be seen: migration has the volume open twice
    }
    return f"--blockdev={json.dumps(drive)}"
