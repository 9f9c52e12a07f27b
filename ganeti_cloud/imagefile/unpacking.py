# SPDX-License-Identifier: BSD-2-Clause
"""Compressed files, unpacked to a file no larger than allowed. The programs that do it are confined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.imagefile.confined import FILE, confined
from ganeti_cloud.imagefile.formats import HEAD, TAIL, gzip_size, zstd_size
from ganeti_cloud.process import run, stream

_PROGRAMS = {
    "gzip": ["gzip", "-dc"],
    "bzip2": ["bzip2", "-dc"],
    "xz": ["xz", "-dc", "--memlimit=1GiB"],
    "zstd": ["zstd", "-dcq", "--memory=1024MB"],
}

_LIST_S = 60.0
_UNPACK_S = 6 * 3600.0
_GIB = 1 << 30
_ZEROS = bytes(1 << 16)


def unpack(
    packing: str, packed: Path, target: Path, limit: int, shown: str, on_percent: Callable[[float], None]
) -> None:
    """Unpack *packed*, compressed with *packing*, to *target*: not more than *limit* bytes, with holes for zeros.

    Errors call the file *shown*. Raises RequestError when it says that it is larger, turns out larger, or is damaged.
    """
    declared = declared_size(packing, packed, shown)
    if declared is not None and declared > limit:
        raise too_large(shown, limit)
    # xz and zstd say what they hold; gzip says only the last 32 bits of it, and of its last member.
    most = limit if declared is None or packing == "gzip" else declared
    with packed.open("rb") as source, target.open("wb") as out:
        whole = packed.stat().st_size
        size = 0

        def take(piece: bytes) -> None:
            nonlocal size
            size += len(piece)
            if size > most:
                raise too_large(shown, most)
            _write_sparse(out, piece)
            on_percent(100 * source.seek(0, 1) / whole)

        try:
            stream(confined(_PROGRAMS[packing]), take, stdin=source, timeout_s=_UNPACK_S, shown=_PROGRAMS[packing][0])
        except CommandError as err:
            raise _damaged(shown, packing, err) from err
        out.truncate(size)


def _write_sparse(out: BinaryIO, piece: bytes) -> None:
    if piece == _ZEROS[: len(piece)]:
        out.seek(len(piece), 1)
    else:
        out.write(piece)


def declared_size(packing: str, packed: Path, shown: str) -> int | None:
    """How large *packed* says it is, unpacked; None when it does not say. At least so large, for gzip."""
    if packing == "xz":
        argv = ["xz", "--list", "--robot", FILE]
        try:
            listed = run(confined(argv, file=packed), timeout_s=_LIST_S, shown="xz --list")
        except CommandError as err:
            raise _damaged(shown, packing, err) from err
        [totals] = [line.split("\t") for line in listed.splitlines() if line.startswith("totals")]
        return int(totals[4])
    with packed.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(0, packed.stat().st_size - TAIL))
        tail = file.read(TAIL)
    if packing == "zstd":
        return zstd_size(head)
    return gzip_size(tail) if packing == "gzip" else None


def too_large(shown: str, limit: int) -> RequestError:
    """The error for a source of more than *limit* bytes."""
    size = f"{limit / _GIB:g} GiB" if limit >= _GIB else f"{limit} bytes"
    return RequestError(
        f"{shown} is larger than {size}",
        hint="if that is how it should be, raise [images] limit_gib of the configuration; otherwise do not trust it",
    )


def _damaged(shown: str, packing: str, err: CommandError) -> RequestError:
    return RequestError(
        f"{shown} cannot be unpacked ({err})",
        hint="compare its checksum with the publisher's; a download may have been cut off",
    )
