# SPDX-License-Identifier: BSD-2-Clause
"""The content of an image as a file, checked against its SHA-256 while it is read."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from archipelago.catalogue.hashing import ZEROS, ahead, walk
from archipelago.catalogue.images import parent
from archipelago.contract.contents import Contents
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.image import Version

FORMATS = ("raw", "qcow2")

_NAME = "image"


def refuse_existing(path: Path) -> None:
    """Raise RequestError when there is something at *path*."""
    if path.exists():
        raise RequestError(f"{path} exists already", hint="name another file, or overwrite it with --force")


def to_file(
    store: Contents, text: str, version: Version, path: Path, format_name: str, on_percent: Callable[[float], None]
) -> None:
    """Write the content of *version*, which a person has called *text*, to *path* in one step; zeros take no space.

    What was at *path* is replaced, or stays when this raises. Raises RequestError when the file cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".archipelago-export.", dir=path.absolute().parent) as name:
            folder = Path(name)
            if format_name == "raw":
                _raw(store, text, version, folder / _NAME, on_percent)
            else:
                _through_qemu(store, text, version, folder, format_name, on_percent)
            with (folder / _NAME).open("rb") as done:
                os.fsync(done.fileno())
            os.replace(folder / _NAME, path)
    except OSError as err:
        raise RequestError(
            f"{path} cannot be written ({err.strerror})", hint="name a file in a folder with room"
        ) from err


def to_stream(
    store: Contents, text: str, version: Version, stream: IO[bytes], on_percent: Callable[[float], None]
) -> None:
    """Write all of the content of *version* to *stream*. It turns out wrong at the end: look at the exit status."""
    _copy(store, text, version, lambda _offset, data: stream.write(data), on_percent, holes=True)


def _raw(store: Contents, text: str, version: Version, path: Path, on_percent: Callable[[float], None]) -> None:
    with path.open("wb") as file:
        file.truncate(version.size_bytes)

        def write(offset: int, data: bytes) -> None:
            file.seek(offset)
            file.write(data)

        _copy(store, text, version, write, on_percent)


def _through_qemu(
    store: Contents, text: str, version: Version, folder: Path, format_name: str, on_percent: Callable[[float], None]
) -> None:
    from ganeti_cloud.imagefile.nbd_server import created

    with created(folder, _NAME, format_name, version.size_bytes) as target:
        _copy(store, text, version, lambda offset, data: target.pwrite(data, offset), on_percent)


def _copy(
    store: Contents,
    text: str,
    version: Version,
    write: Callable[[int, bytes], object],
    on_percent: Callable[[float], None],
    *,
    holes: bool = False,
) -> None:
    """Hand the data of the content to *write*, and also its zeros when *holes* are wanted; check all of it."""
    whole = hashlib.sha256()
    with store.reading(parent(text, version)) as reader, ahead(walk(reader)) as blocks:
        for offset, length, data in blocks:
            known = ZEROS[:length] if data is None else data
            whole.update(known)
            if holes or (data is not None and data != ZEROS[:length]):
                write(offset, known)
            on_percent(100 * (offset + length) / reader.size)
    if whole.hexdigest() != version.sha256:
        raise StorageError(
            f"the content of {text} is not what it was when it was imported",
            hint="look at the health of the storage; import the image again from its publisher",
        )
