# SPDX-License-Identifier: BSD-2-Clause
"""What images are made of. See :class:`archipelago.contract.contents.Contents`.

A content is a record among ``images/``, called ``<holder>@<sha256>``, with the hashes of its blocks beside it. All of
its data are below volumes that were cloned without reflinks, so they stay as long as those need them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from archipelago.contract.contents import Content
from archipelago.contract.volumes import Parent
from archipelago.file import data, records
from archipelago.file.layout import Layout
from archipelago.file.locks import named, referring, taken, waited
from archipelago.file.openings import this_host
from archipelago.file.records import Chain, Record, Saved
from archipelago.file.volumes import now, parent_of
from archipelago.parameters import Settings
from ganeti_cloud.errors import RequestError
from ganeti_cloud.files import replace_file
from ganeti_cloud.image import SHORT

_LOCK_S = 60.0


class FileDraft:
    """See :class:`archipelago.contract.contents.Draft`."""

    def __init__(self, layout: Layout, content: Content, file: str, blocks: bytes) -> None:
        self.blocks = blocks
        self._layout = layout
        self._content = content
        self._chain = (file,)
        self._descriptor = os.open(layout.data(file), os.O_RDWR)
        self.is_kept = False

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, offset)
            view, offset = view[written:], offset + written

    def clear(self, offset: int, length: int) -> None:
        data.punch_hole(self._descriptor, offset, length)

    def keep(self, blocks: bytes) -> Content:
        os.fsync(self._descriptor)
        _store(self._layout, self._content, self._chain, os.fstat(self._descriptor).st_size, blocks)
        self.is_kept = True
        return self._content

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)


@contextmanager
def drafted(layout: Layout, name: str, sha256: str, size: int, base: Content | None) -> Iterator[FileDraft]:
    """See :meth:`archipelago.contract.contents.Contents.drafted`.

    Where the file system has no reflinks, *base* is copied; nothing is shared then, but what is read and sent over the
    network to the program that writes is the same.
    """
    data.collect(layout)
    failure: BaseException | None = None
    with _writing(layout, name), data.drafted(layout, name, "raw") as file:
        record = records.read(layout, "images", _entry(base)) if base else None
        if base is None or record is None or len(record.chain) != 1:
            data.make_blank(layout, file, size)
            known = b""
        else:
            known = blocks(layout, base)
            if not data.make_reflink(layout, file, record.chain[0]):
                data.make_copy(layout, file, record.chain[0])
            os.truncate(layout.data(file), size)
        draft = FileDraft(layout, Content(name, sha256), file, known)
        try:
            yield draft
            if not draft.is_kept:
                os.unlink(layout.data(file))
        except BaseException as err:
            if not draft.is_kept:
                raise
            failure = err  # the content is stored: its file is not to be taken for a draft that failed
        finally:
            draft.close()
    if failure is not None:
        raise failure


@contextmanager
def _writing(layout: Layout, name: str) -> Iterator[None]:
    """Within the block this is the only one that writes a content for the image *name*."""
    path = layout.path("locks", f"image.{name}")
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
    lock = taken(path)
    if lock is None:
        with open(path, encoding="utf-8") as stream:
            host = stream.read().strip()
        raise RequestError(
            f"image {name!r} is being imported from {host or 'another node'}",
            hint="wait for that import to end; if its node died, two minutes are enough",
        )
    try:
        os.ftruncate(lock, 0)
        os.pwrite(lock, this_host().encode(), 0)
        yield
    finally:
        os.close(lock)


def clone_content(settings: Settings, layout: Layout, name: str, parent: Parent, sha256: str, known: bytes) -> Content:
    """See :meth:`archipelago.contract.contents.Contents.clone_content`.

    The new content is the same data by another name.
    """
    holder, _ = parent_of(settings, parent)
    with referring(holder):
        _, saved = parent_of(settings, parent)
        content = Content(name, sha256)
        _store(layout, content, saved.chain, saved.size, known)
    return content


def blocks(layout: Layout, content: Content) -> bytes:
    """See :meth:`archipelago.contract.contents.Contents.blocks`."""
    try:
        with open(_blocks_path(layout, content), "rb") as stream:
            return stream.read()
    except FileNotFoundError as err:
        raise RequestError(
            f"the store has no content {content.holder}@{content.snapshot[:SHORT]}",
            hint="somebody has removed it just now; see `archipelago image list --versions`, and try again",
        ) from err


def contents(layout: Layout) -> list[Content]:
    """See :meth:`archipelago.contract.contents.Contents.contents`."""
    return [Content(*entry.rsplit("@", 1)) for entry in records.names(layout, "images")]


def children(layout: Layout, content: Content) -> list[str]:
    """See :meth:`archipelago.contract.contents.Contents.children`. A reflink needs nothing of what it was made of."""
    record = records.read(layout, "images", _entry(content))
    if record is None:
        return []
    return sorted(
        other.name
        for _, _, other in records.everything(layout)
        if record.chain[0] in other.files() and other.name != record.name
    )


def remove_content(layout: Layout, content: Content) -> bool:
    """See :meth:`archipelago.contract.contents.Contents.remove_content`.

    It always lets go: data that are needed stay unnamed.
    """
    record = records.read(layout, "images", _entry(content))
    if record is not None:
        data.promise_removal(layout, record.files())
        os.unlink(records.path(layout, "images", record.name))
    Path(_blocks_path(layout, content)).unlink(missing_ok=True)
    data.collect(layout)
    return True


@contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """See :meth:`archipelago.contract.contents.Contents.catalogue_locked`."""
    with waited(layout, "catalogue", "the catalogue", patience_s=_LOCK_S):
        yield


def sweep(layout: Layout) -> None:
    """See :meth:`archipelago.contract.contents.Contents.sweep_contents`."""
    data.collect(layout)
    stored = {f"{entry}.blocks" for entry in records.names(layout, "images")}
    for name in os.listdir(layout.path("images")):
        if name.endswith((".blocks", ".tmp")) and name not in stored:
            os.unlink(layout.path("images", name))


def swap(layout: Layout, name: str, old: str | None, new: str | None) -> bool:
    """See :meth:`archipelago.contract.contents.Contents.swap_record`."""
    path = Path(layout.path("catalogue", f"{name}.json"))
    with named(layout, name):
        if catalogued(layout, name) != old:
            return False
        if new is not None:
            replace_file(path, new, mode=0o600)
        else:
            path.unlink(missing_ok=True)
    return True


def catalogued(layout: Layout, name: str) -> str | None:
    """See :meth:`archipelago.contract.contents.Contents.record`."""
    try:
        with open(layout.path("catalogue", f"{name}.json"), encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def catalogue(layout: Layout) -> dict[str, str]:
    """See :meth:`archipelago.contract.contents.Contents.records`."""
    names = [name.removesuffix(".json") for name in sorted(os.listdir(layout.path("catalogue"))) if name[0] != "."]
    found = {name: catalogued(layout, name) for name in names}
    return {name: text for name, text in found.items() if text is not None}


def _store(layout: Layout, content: Content, chain: Chain, size: int, known: bytes) -> None:
    with open(_blocks_path(layout, content), "wb") as stream:
        stream.write(known)
        stream.flush()
        os.fsync(stream.fileno())
    saved = Saved(content.snapshot, chain, size, now())
    records.write(layout, "images", Record(_entry(content), chain, now(), now(), snapshots=(saved,)))


def _entry(content: Content) -> str:
    return f"{content.holder}@{content.snapshot}"


def _blocks_path(layout: Layout, content: Content) -> str:
    return layout.path("images", f"{_entry(content)}.blocks")
