# SPDX-License-Identifier: BSD-2-Clause
"""Bringing contents into the catalogue. They are hashed before anything is written.

What is stored already is not stored again, and of a new version only those blocks are written that differ from what
its line holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from archipelago.catalogue import hashing, records
from archipelago.catalogue.hashing import DIGEST, Hashes
from archipelago.contract.contents import Content, Contents, Draft, Reader
from archipelago.contract.volumes import Parent
from ganeti_cloud.errors import RequestError
from ganeti_cloud.image import BLOCK, SNAPSHOT, Image, SnapshotReference, Version

Progress = Callable[[str, float], None]


class Outcome(NamedTuple):
    """What was done: the *version* that the image has now, and how much was written for it.

    *shared_with* is another name with the same content, where nothing had to be stored.
    """

    name: str
    version: Version
    new: bool
    shared_with: str | None
    blocks: int
    blocks_written: int
    bytes_written: int


class Source(NamedTuple):
    """A content that is to come in, hashed already, with a *reader* for what must be written."""

    reader: Reader
    hashes: Hashes
    format: str
    shown: str


def refuse_other_content(name: str, found: Image | None, sha256: str) -> None:
    """Raise RequestError when the image *name* is there already, and its newest version is not *sha256*."""
    if found is not None and found.newest.sha256 != sha256:
        raise RequestError(
            f"there is an image {name!r} already, with another content",
            hint=f"to make this its newest version: archipelago image sync {name} ...",
        )


def bring_in(store: Contents, name: str, source: Source, progress: Progress, *, only_new: bool) -> Outcome:
    """Make *source* the newest version of the image *name*; nothing is to be done when it is that already.

    The version appears when its content is whole. With *only_new* an image with another content is refused. Raises
    RequestError for that, when another import writes to the same line, or when the source has changed meanwhile.
    """

    def refuse(found: Image | None) -> None:
        if only_new:
            refuse_other_content(name, found, source.hashes.sha256)

    found = records.image(store, name)
    refuse(found)
    with store.catalogue_locked():
        store.sweep_contents()
        outcome = _shared(store, name, source, refuse)
    if outcome is not None:
        return outcome
    base = None if found is None else records.content_of(found.newest)
    with store.drafted(name, source.hashes.sha256, source.hashes.size, base) as draft:
        written = _upload(source, draft, lambda percent: progress("writing", percent))
        with store.catalogue_locked():
            outcome = _shared(store, name, source, refuse)  # two importers of one content
            if outcome is None:
                content = draft.keep(source.hashes.blocks)
                version = _add(store, name, source, content, None, refuse)
                outcome = Outcome(name, version, True, None, len(source.hashes.blocks) // DIGEST, *written)
    return outcome


def create_from_snapshot(
    store: Contents, name: str, snapshot: SnapshotReference, text: str, progress: Progress
) -> Outcome:
    """Make the image *name* of a *snapshot*, which a person has called *text*, without copying it.

    Only what is allocated is read, for its hashes. Raises RequestError as :func:`bring_in`, and for no such snapshot.
    """
    place = Parent(f"{SNAPSHOT}{text}", snapshot.volume, snapshot.snapshot, of_image=False)

    def refuse(found: Image | None) -> None:
        refuse_other_content(name, found, source.hashes.sha256)

    with store.reading(place) as reader:
        hashes = hashing.hashes(reader, lambda percent: progress("reading", percent))
        source = Source(reader, hashes, "snapshot", text)
    with store.catalogue_locked():
        store.sweep_contents()
        outcome = _shared(store, name, source, refuse)
        if outcome is not None:
            return outcome
        content = store.clone_content(name, place, hashes.sha256, hashes.blocks)
        version = _add(store, name, source, content, None, refuse)
    return Outcome(name, version, True, None, len(hashes.blocks) // DIGEST, 0, 0)


def _shared(store: Contents, name: str, source: Source, refuse: Callable[[Image | None], None]) -> Outcome | None:
    """What there is to tell when the content of *source* is stored already; None when it must be written."""
    blocks = len(source.hashes.blocks) // DIGEST
    found = records.image(store, name)
    refuse(found)
    if found is not None and found.newest.sha256 == source.hashes.sha256:
        return Outcome(name, found.newest, False, None, blocks, 0, 0)
    known = records.with_content(store, source.hashes.sha256)
    if known is not None:
        other, version = known
        added = _add(store, name, source, records.content_of(version), version, refuse)
        return Outcome(name, added, True, other, blocks, 0, 0)
    for content in store.contents():
        if content.snapshot == source.hashes.sha256:  # of an importer that died before it had a record
            added = _add(store, name, source, content, None, refuse)
            return Outcome(name, added, True, None, blocks, 0, 0)
    return None


def _add(
    store: Contents,
    name: str,
    source: Source,
    content: Content,
    like: Version | None,
    refuse: Callable[[Image | None], None],
) -> Version:
    """Write down *content* as the newest version of *name*, with the properties of the last, or else of *like*."""

    def decide(found: Image | None) -> Image:
        refuse(found)
        model = found.newest if found is not None else like
        version = Version(
            sha256=source.hashes.sha256,
            size_bytes=source.hashes.size,
            source_format=source.format,
            imported=records.now(),
            properties=model.properties if model is not None else {},
            holder=content.holder,
            snapshot=content.snapshot,
        )
        before = () if found is None else found.versions
        # A content that comes back is the newest again, and not there twice.
        return Image(name, (*(each for each in before if each.sha256 != version.sha256), version))

    added = records.change(store, name, decide)
    assert added is not None
    return added.newest


def changed_blocks(new: Hashes, old: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Offset, length and new hash of each block of *new* that differs from what has the hashes *old*.

    What is beyond the end of *old* is zeros.
    """
    for offset, length in hashing.blocks_of(new.size):
        at = offset // BLOCK * DIGEST
        wanted = new.blocks[at : at + DIGEST]
        if wanted != (old[at : at + DIGEST] or hashing.zero_hash(length)):
            yield offset, length, wanted


def _upload(source: Source, draft: Draft, on_percent: Callable[[float], None]) -> tuple[int, int]:
    """Write what differs; how many blocks and bytes that were."""
    changed = list(changed_blocks(source.hashes, draft.blocks))
    data_bytes = 0
    for number, (offset, length, wanted) in enumerate(changed):
        on_percent(100 * number / len(changed))
        if wanted == hashing.zero_hash(length):
            draft.clear(offset, length)
            continue
        data = source.reader.read(offset, length)
        if hashing.block_hash(data) != wanted:
            raise RequestError(
                f"{source.shown} was changed while it was read",
                hint="let whoever writes it finish, and start again",
            )
        draft.write(offset, data)
        data_bytes += length
    on_percent(100)
    return len(changed), data_bytes


def plan(store: Contents, name: str, hashes: Hashes) -> tuple[int, int]:
    """How many blocks a new version *hashes* of the image *name* would have written, and of how many."""
    found = records.image(store, name)
    blocks = len(hashes.blocks) // DIGEST
    if records.with_content(store, hashes.sha256) is not None:
        return 0, blocks
    old = b"" if found is None else store.blocks(records.content_of(found.newest))
    return sum(1 for _ in changed_blocks(hashes, old)), blocks
