# SPDX-License-Identifier: BSD-2-Clause
"""Where an image can come from, as ``img_id`` names it. Nothing here looks whether it is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ganeti_cloud import image
from ganeti_cloud.errors import RequestError

NULL = "null"
CATALOGUE = "archipelago:"
HTTPS = "https://"


class Null(NamedTuple):
    """The disk holds the image already, as a clone does: nothing is copied, and nothing is opened for it."""


class Catalogue(NamedTuple):
    """The image *reference* of the storage provider's catalogue: NAME or NAME@sha256:DIGITS."""

    reference: str


class File(NamedTuple):
    """The file *name*, within the site's folder of images."""

    name: str


class Https(NamedTuple):
    """The address *url*, which the site allows."""

    url: str


Source = Null | Catalogue | File | Https


def parse(text: str, allowed: Sequence[str]) -> Source:
    """What *text* names; *allowed* are the addresses below which the site allows to load. Raises ValueError."""
    if not text.isprintable() or len(text) > 1024:
        raise ValueError("an image is named by a text on one line")
    if text == NULL:
        return Null()
    if text.startswith(CATALOGUE):
        reference = text.removeprefix(CATALOGUE)
        try:
            image.parse_reference(reference)
        except RequestError as err:
            raise ValueError(str(err)) from err
        return Catalogue(reference)
    if text.lower().startswith(HTTPS):
        return Https(allowed_url(text, allowed))
    if ":" in text:
        raise ValueError(f"{text!r} is nothing that an image comes from: null, {CATALOGUE}NAME, a file, or {HTTPS}...")
    return File(_file_name(text))


def _file_name(text: str) -> str:
    if text.startswith("/") or text.endswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} is no file within the folder of images: write its path from there, without '..'")
    return text


def allowed_url(url: str, allowed: Sequence[str]) -> str:
    """*url*, when it is https and below one of the addresses *allowed*. Raises ValueError otherwise."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as err:
        raise ValueError(f"{url!r} is no address") from err
    if parts.scheme != "https" or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} is no https address")
    if parts.username is not None or parts.password is not None or "\\" in url or parts.fragment:
        raise ValueError(f"{url!r} has more in it than a host and a path")
    # A server takes %2e for a dot, and then the path leads elsewhere than it seems to.
    if {".", ".."} & set(unquote(parts.path).split("/")):
        raise ValueError(f"{url!r} has a path that leads back")
    for prefix in allowed:
        begin = urlsplit(prefix)
        if (begin.hostname, begin.port or 443) == (host, port or 443) and parts.path.startswith(begin.path):
            return url
    raise ValueError(f"{url!r} is below none of the addresses that this site allows ([images] https_allow)")
