# SPDX-License-Identifier: BSD-2-Clause
"""Images of the storage provider's catalogue, by its program: see archipelago(8)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.errors import CommandError, RequestError
from ganeti_cloud.image import checked_properties, parse_reference
from ganeti_cloud.imagefile.nbd_socket import served
from ganeti_cloud.process import run

_INFO_S = 60.0


class Entry(NamedTuple):
    """A version of an image: a *reference* that always means it, its *size* in bytes, and its *properties*."""

    reference: str
    size: int
    properties: Mapping[str, str]


def find(reference: str) -> Entry:
    """What the catalogue has as *reference*. Raises RequestError."""
    argv = ["archipelago", "image", "info", reference, "--json"]
    try:
        told = json.loads(run(argv, timeout_s=_INFO_S))
        newest = told["versions"][0]
        name = parse_reference(reference).name
        return Entry(
            reference=f"{name}@sha256:{newest['sha256']}",
            size=int(newest["size_bytes"]),
            properties=checked_properties(newest["properties"]),
        )
    except (CommandError, ValueError, LookupError, TypeError) as err:
        raise _missing(reference, err) from err


@contextmanager
def opened(entry: Entry, path: Path) -> Iterator[str]:
    """The content of *entry*, served at the socket *path* within the block. Raises RequestError."""
    argv = ["archipelago", "image", "serve", entry.reference, "--socket", str(path)]
    try:
        with served(argv, path, shown="archipelago image serve"):
            yield str(path)
    except CommandError as err:
        raise _missing(entry.reference, err) from err


def _missing(reference: str, err: Exception) -> RequestError:
    return RequestError(
        f"image {reference} cannot be had from the catalogue ({err})",
        hint="see `archipelago image list` and `archipelago doctor` on this node",
    )
