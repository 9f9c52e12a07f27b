# SPDX-License-Identifier: BSD-2-Clause
"""The command ``archipelago image serve``."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from pathlib import Path

import click

from archipelago.catalogue import images, records
from archipelago.cli import common
from archipelago.store import opened
from ganeti_cloud.errors import RequestError
from ganeti_cloud.imagefile.nbd_socket import served

_LOOK_S = 0.5
# sockaddr_un, unix(7).
_PATH_BYTES = 107


@click.command("serve")
@click.argument("name")
@click.option("--socket", "path", required=True, metavar="PATH", help="The unix socket, which is made.")
def serve(name: str, path: str) -> None:
    """Serve the content of the image NAME, or NAME@sha256:DIGITS, read-only, as NBD on a socket of this machine.

    It ends when it is interrupted or killed, after 25 hours at the latest.

    \b
    Example:
      archipelago image serve debian-13 --socket /run/debian-13.nbd
    """
    _refuse_path(path)
    command = ["qemu-nbd", "--persistent", "--read-only", "--shared=4", f"--socket={path}"]
    with ExitStack() as stack:
        with opened(common.settings()) as store:
            _, version = records.require(store, name)
            with store.shown(images.parent(name, version)) as words:
                server = stack.enter_context(served([*command, *words], Path(path), shown="qemu-nbd"))
        # It has the content open now, and needs nobody any more.
        while True:
            time.sleep(_LOOK_S)
            server.check()


def _refuse_path(path: str) -> None:
    reason = ""
    if os.path.lexists(path):
        reason = "something is there"
    elif len(os.fsencode(path)) > _PATH_BYTES:
        reason = f"it is longer than {_PATH_BYTES} bytes"
    elif not os.path.isdir(os.path.dirname(path) or "."):
        reason = "there is no such folder"
    if reason:
        raise RequestError(f"{path} cannot be a socket: {reason}", hint="name a new file in a folder that is there")
