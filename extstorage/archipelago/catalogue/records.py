# SPDX-License-Identifier: BSD-2-Clause
"""The catalogue: names, their versions and properties, and which contents they stand for."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping

from archipelago.catalogue.images import missing
from archipelago.contract.contents import Content, Contents
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import Image, Version, checked_name, checked_properties, parse_reference


def image(store: Contents, name: str) -> Image | None:
    """The image *name*, if there is one. Raises RequestError for what is no name."""
    text = store.record(checked_name(name))
    return None if text is None else Image.decode(name, text)


def images(store: Contents) -> list[Image]:
    """All images, by name."""
    return [Image.decode(name, text) for name, text in sorted(store.records().items())]


def require(store: Contents, text: str) -> tuple[Image, Version]:
    """The image and version that the reference *text* means. Raises RequestError when there is none."""
    reference = parse_reference(text)
    found = image(store, reference.name)
    version = None if found is None else found.version(reference.digits)
    if found is None or version is None:
        raise missing(text)
    return found, version


def change(store: Contents, name: str, decide: Callable[[Image | None], Image | None]) -> Image | None:
    """Make the record *name* what *decide* says of what it is; somebody else's change in between is not lost.

    *decide* may be asked more than once, and may raise. Returns what it said.
    """
    while True:
        old = store.record(name)
        new = decide(None if old is None else Image.decode(name, old))
        text = None if new is None else new.encode()
        if text == old or store.swap_record(name, old, text):
            return new


def content_of(version: Version) -> Content:
    """Where the content of *version* lies."""
    return Content(version.holder, version.snapshot)


def with_content(store: Contents, sha256: str) -> tuple[str, Version] | None:
    """A name and a version of it whose content is *sha256*, if the catalogue has one."""
    for each in images(store):
        for version in each.versions:
            if version.sha256 == sha256:
                return each.name, version
    return None


def uncatalogued(store: Contents) -> list[Content]:
    """The contents that no version stands for, of importers that died or kept by clones; under the lock."""
    known = {content_of(version) for each in images(store) for version in each.versions}
    return [content for content in store.contents() if content not in known]


def now() -> str:
    """This moment as records have it, in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def set_properties(store: Contents, text: str, new: Mapping[str, str], gone: Iterable[str]) -> Version:
    """Give the version that *text* means the properties *new*, and take those in *gone*; the version as it is then."""
    reference = parse_reference(text)
    unset = set(gone)

    def decide(found: Image | None) -> Image:
        version = None if found is None else found.version(reference.digits)
        if found is None or version is None:
            raise missing(text)
        kept = {key: value for key, value in version.properties.items() if key not in unset}
        changed = version._replace(properties=checked_properties(kept | dict(new)))
        return found._replace(versions=tuple(changed if each is version else each for each in found.versions))

    changed = change(store, reference.name, decide)
    assert changed is not None
    version = changed.version(reference.digits)
    assert version is not None
    return version


def parse_property(text: str) -> tuple[str, str]:
    """``KEY=VALUE``. Raises RequestError."""
    key, mark, value = text.partition("=")
    if not mark:
        raise RequestError(f"{text!r} is not KEY=VALUE", hint="to take a property away, write --unset KEY")
    return key, value
