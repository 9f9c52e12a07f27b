# SPDX-License-Identifier: BSD-2-Clause
"""Taking images out of the catalogue. Their contents go as soon as the store can let go of them."""

from __future__ import annotations

from typing import NamedTuple

from archipelago.catalogue import records
from archipelago.contract.contents import Content, Contents
from ganeti_cloud.image import Image, Version, parse_reference


class Removal(NamedTuple):
    """What is removed, or would be: versions, those of their contents that go, and those that clones still need."""

    versions: tuple[Version, ...]
    contents: tuple[Content, ...]
    kept: tuple[Content, ...]


def plan(store: Contents, text: str) -> Removal:
    """What :func:`remove` of *text* would do."""
    reference = parse_reference(text)
    found = records.image(store, reference.name)
    gone = () if found is None else _meant(found, reference.digits)
    return Removal(gone, _unshared(store, reference.name, gone), ())


def remove(store: Contents, text: str) -> Removal:
    """Remove the image that *text* names, or that version of it. Nothing is removed when there is none.

    It leaves the catalogue at once. Volumes that are clones of it keep their data; a content that the store cannot let
    go of before they are gone is told as kept, and stays for :func:`records.uncatalogued`.
    """
    reference = parse_reference(text)
    gone: tuple[Version, ...] = ()

    def decide(found: Image | None) -> Image | None:
        nonlocal gone
        gone = () if found is None else _meant(found, reference.digits)
        if found is None or len(gone) == len(found.versions):
            return None
        return found._replace(versions=tuple(each for each in found.versions if each not in gone))

    with store.catalogue_locked():
        records.change(store, reference.name, decide)
        unused = _unshared(store, reference.name, gone)
        kept = tuple(content for content in unused if not store.remove_content(content))
    return Removal(gone, tuple(content for content in unused if content not in kept), kept)


def drop_uncatalogued(store: Contents, *, dry_run: bool = False) -> list[Content]:
    """Remove the contents that no version stands for and the store can let go of; which those are.

    With *dry_run* those that have no clones are told and none is removed.
    """
    with store.catalogue_locked():
        if dry_run:
            return [content for content in records.uncatalogued(store) if not store.children(content)]
        store.sweep_contents()
        return [content for content in records.uncatalogued(store) if store.remove_content(content)]


def _meant(found: Image, digits: str) -> tuple[Version, ...]:
    if not digits:
        return found.versions
    version = found.version(digits)
    return () if version is None else (version,)


def _unshared(store: Contents, name: str, gone: tuple[Version, ...]) -> tuple[Content, ...]:
    """The contents of the versions *gone* of *name* that no other version stands for."""
    others = {
        records.content_of(version)
        for each in records.images(store)
        for version in each.versions
        if each.name != name or version not in gone
    }
    wanted = dict.fromkeys(records.content_of(version) for version in gone)
    return tuple(content for content in wanted if content not in others)
