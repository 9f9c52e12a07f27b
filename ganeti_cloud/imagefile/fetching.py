# SPDX-License-Identifier: BSD-2-Clause
"""The source of an import as a plain file: a path, standard input or an https URL, checked and unpacked."""

from __future__ import annotations

import hashlib
import os
import ssl
import stat
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, NamedTuple

from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.imagefile import temporary
from ganeti_cloud.imagefile.formats import HEAD, packing
from ganeti_cloud.imagefile.unpacking import too_large, unpack

Progress = Callable[[str, float], None]

_CHUNK = 1 << 20
_CONNECT_S = 30.0
_DOWNLOAD_S = 6 * 3600.0

_LENGTHS = {"sha256": 64, "sha512": 128}


class Checksum(NamedTuple):
    """What the file, as it comes, must hash to."""

    algorithm: str
    digits: str


def parse_checksum(text: str) -> Checksum:
    """``sha256:HEX`` or ``sha512:HEX``. Raises RequestError."""
    algorithm, _, digits = text.lower().partition(":")
    if len(digits) != _LENGTHS.get(algorithm) or not set(digits) <= set("0123456789abcdef"):
        raise RequestError(
            f"{text!r} is not a checksum",
            hint="write sha256: or sha512: and all digits, as the publisher's list of checksums has them",
        )
    return Checksum(algorithm, digits)


def shown(source: str) -> str:
    """What errors call *source*."""
    return "standard input" if source == "-" else source


def check(source: str) -> None:
    """Raise RequestError for a *source* that can be seen to be none before anything is done."""
    if "://" in source:
        _refuse_other_schemes(source)
    elif source != "-":
        require_file(Path(source))


@contextmanager
def fetched(
    source: str, checksum: Checksum | None, limit: int, progress: Progress, *, name: str = ""
) -> Iterator[Path]:
    """A plain file with what *source* holds, unpacked; what had to be made for it goes at the end of the block.

    Errors call it *name* when there is one.
    Raises RequestError when *source* cannot be had, is larger than *limit* bytes, or has another checksum.
    """
    with temporary.folder() as folder:
        try:
            wanted = _Wanted(name or shown(source), checksum, limit)
            path = _plain(source, wanted, folder, progress)
            with path.open("rb") as file:
                packed = packing(file.read(HEAD))
            if packed is not None:
                unpacked = folder / "unpacked"
                unpack(packed, path, unpacked, limit, wanted.shown, lambda percent: progress("unpacking", percent))
                path = unpacked
        except OSError as err:
            raise _no_room(err) from err
        yield path


def _plain(source: str, wanted: _Wanted, folder: Path, progress: Progress) -> Path:
    """*source* as a file of this machine, compressed as it may be."""
    copy = folder / "source"
    if source == "-":
        _copy(sys.stdin.buffer, copy, wanted, None, lambda _: None)
        return copy
    if "://" in source:
        _download(source, copy, wanted, lambda percent: progress("loading", percent))
        return copy
    path = Path(source)
    size = require_file(path)
    if wanted.checksum is not None:
        with path.open("rb") as file:
            _copy(file, None, wanted, size, lambda percent: progress("checking", percent))
    return path


def require_file(path: Path) -> int:
    """The size of the regular file *path*. Raises RequestError when it is none."""
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):  # seen before it is opened: opening a pipe would wait for a writer
            path.open("rb").close()
            return found.st_size
    except OSError as err:
        raise RequestError(f"{path}: {err.strerror}", hint="name a file that root can read") from err
    raise RequestError(
        f"{path} is not a file",
        hint="name the file of an image; what is on a device must be copied into a file first",
    )


class _Wanted(NamedTuple):
    """What is asked of a stream of bytes."""

    shown: str
    checksum: Checksum | None
    limit: int


def _copy(
    source: IO[bytes], target: Path | None, wanted: _Wanted, size: int | None, on_percent: Callable[[float], None]
) -> int:
    """Copy *source*, of *size* as it seems, to *target*, if there is one, and check it; how many bytes that were."""
    digest = hashlib.new(wanted.checksum.algorithm) if wanted.checksum else None
    done = 0
    end = time.monotonic() + _DOWNLOAD_S
    with target.open("wb") if target else open(os.devnull, "wb") as out:
        while piece := source.read(_CHUNK):
            done += len(piece)
            if done > wanted.limit:
                raise too_large(wanted.shown, wanted.limit)
            if time.monotonic() > end:
                raise TimeoutError(f"no end after {_DOWNLOAD_S:g} s")
            if digest is not None:
                digest.update(piece)
            out.write(piece)
            if size:
                on_percent(min(100.0, 100 * done / size))
    if digest is not None and wanted.checksum is not None and digest.hexdigest() != wanted.checksum.digits:
        raise RequestError(
            f"{wanted.shown} has the {wanted.checksum.algorithm} {digest.hexdigest()}, not the one that was given",
            hint="load it again, and compare with the publisher's list; if it still differs, do not use it",
        )
    return done


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """A redirection may not leave https: it would lead to who knows whom."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        _refuse_other_schemes(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _refuse_other_schemes(url: str) -> None:
    if not url.lower().startswith("https://"):
        raise RequestError(
            f"{url} is not loaded: only https is",
            hint="load it yourself and give the file, with --checksum if the publisher has one",
        )


def _download(url: str, target: Path, wanted: _Wanted, on_percent: Callable[[float], None]) -> None:
    _refuse_other_schemes(url)
    opener = urllib.request.build_opener(
        _OnlyHttps(), urllib.request.HTTPSHandler(context=ssl.create_default_context())
    )
    # The limit of each connection and read; the sum has that of _copy.
    try:
        with opener.open(url, timeout=_CONNECT_S) as answer:
            length = answer.headers.get("Content-Length", "")
            size = int(length) if length.isascii() and length.isdigit() else None
            if size is not None and size > wanted.limit:
                raise too_large(url, wanted.limit)
            done = _copy(answer, target, wanted, size, on_percent)
            if size is not None and done != size:
                raise ConnectionError(f"it ended after {done} of {size} bytes")
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError, ValueError) as err:
        # An answer of the server is told whole, what kept us from it without urllib's wrapping.
        wrapped = isinstance(err, urllib.error.URLError) and not isinstance(err, urllib.error.HTTPError)
        reason = getattr(err, "reason", err) if wrapped else err
        raise RequestError(
            f"{url} cannot be loaded ({reason})",
            hint="look at the address, at the way there (https_proxy), and at the certificate of the server",
        ) from err


def _no_room(err: OSError) -> StorageError:
    return StorageError(
        f"{temporary.PLACE} cannot take the image that is to be unpacked ({err.strerror or err})",
        hint=f"make room there: `df {temporary.PLACE}`; a plain file that is not compressed is read where it is",
    )
