# SPDX-License-Identifier: BSD-2-Clause
"""Disks as NBD servers on sockets of this machine: what the others read and write then is a plain disk.

See qemu-nbd(8). A server ends with the block it was started for, and when this process is killed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.imagefile.confined import FOLDER, confined
from ganeti_cloud.imagefile.nbd_socket import served
from ganeti_cloud.imagefile.qemu_img import Source, options, unreadable

_QEMU_NBD = ["qemu-nbd", "--persistent", "--shared=4"]
# What Ganeti's templates with userspace access hand to QEMU.
_URI = re.compile(r"(rbd:|gluster(\+tcp|\+unix)?://)[!-~]+")


@contextmanager
def image(source: Source, folder: Path) -> Iterator[str]:
    """The disk in a stranger's file, served read-only by a confined server whose socket is in *folder*.

    Raises RequestError when it cannot be opened.
    """
    argv = [*_QEMU_NBD, "--read-only", f"--socket={FOLDER}/image", "--image-opts", options(source.format)]
    try:
        with served(confined(argv, file=source.path, folder=folder), folder / "image", shown="qemu-nbd"):
            yield str(folder / "image")
    except CommandError as err:
        raise unreadable(source.shown, source.format, err) from err


@contextmanager
def uri(text: str, cache: str, path: Path) -> Iterator[str]:
    """What QEMU opens by the URI *text*, served at *path*, without anything of it on this node.

    Raises RequestError for what is no URI of Ganeti's, and CommandError.
    """
    if not _URI.fullmatch(text):
        raise RequestError(
            f"{text[:64]!r} is nothing that QEMU can be given as a disk",
            hint="rbd: and gluster: are known; use access=kernelspace for the disk",
        )
    argv = [*_QEMU_NBD, f"--cache={nbd_cache(cache)}", "--discard=unmap", "--format=raw", f"--socket={path}", text]
    with served(argv, path, shown=f"qemu-nbd {text.partition(':id=')[0]}"):
        yield str(path)


def nbd_cache(cache: str) -> str:
    """QEMU's word for the *cache* that Ganeti knows."""
    return "writeback" if cache == "default" else cache
