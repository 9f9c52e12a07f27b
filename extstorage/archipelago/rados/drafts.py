# SPDX-License-Identifier: BSD-2-Clause
"""Writing a content of an image: to a new line, or to the head of one that exists, where only the difference goes.

A new line is made under another name (see ``publishing.py``). In a line that exists the head is what the newest
snapshot holds, except while somebody writes; what a writer left that died is rolled back by the next one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import rados
import rbd

from archipelago.contract.contents import Content
from archipelago.rados import contents
from archipelago.rados.cataloguing import locked
from archipelago.rados.cluster import Cluster
from archipelago.rados.publishing import exists, rename, unfinished
from ganeti_cloud.image import BLOCK

# Blocks of 4 MiB: enough to keep some OSDs busy, and no more than 32 MiB of memory.
_IN_FLIGHT = 8
_ORDER = BLOCK.bit_length() - 1


class RadosDraft:
    """See :class:`archipelago.contract.contents.Draft`.

    *publish* is the name to rename to, None when it has its name.
    """

    def __init__(self, cluster: Cluster, image: rbd.Image, content: Content, blocks: bytes, publish: bool) -> None:
        self.blocks = blocks
        self.kept = False
        self._cluster, self._image, self._content, self._publish = cluster, image, content, publish
        self._in_flight: deque[rbd.Completion] = deque()

    def write(self, offset: int, data: bytes) -> None:
        self._make_room(_IN_FLIGHT)
        self._in_flight.append(self._image.aio_write(data, offset, _ignore))

    def clear(self, offset: int, length: int) -> None:
        self._make_room(_IN_FLIGHT)
        self._in_flight.append(self._image.aio_discard(offset, length, _ignore))

    def keep(self, blocks: bytes) -> Content:
        self._make_room(1)
        self._image.flush()
        contents.take(self._cluster, self._image, self._content, blocks)
        if self._publish:
            # Still open, so that nobody takes it for the remains of a dead writer.
            rename(self._cluster.image_pool, unfinished(self._content.holder), self._content.holder)
        self.kept = True
        return self._content

    def settle(self) -> None:
        """Wait for all that is under way, whatever comes of it: a client must not go while it writes."""
        while self._in_flight:
            self._in_flight.popleft().wait_for_complete_and_cb()

    def _make_room(self, limit: int) -> None:
        """Wait until fewer than *limit* writes are under way; raise the error of those that ended."""
        while len(self._in_flight) >= limit:
            write = self._in_flight.popleft()
            write.wait_for_complete_and_cb()
            status = write.get_return_value()
            if status < 0:
                raise rbd.OSError(f"writing {self._content.holder}", errno=-status)


def _ignore(_completion: rbd.Completion) -> None:
    """Completions are waited for, in the order of the writes."""


@contextmanager
def drafted(cluster: Cluster, name: str, sha256: str, size: int, base: Content | None) -> Iterator[RadosDraft]:
    """See :meth:`archipelago.contract.contents.Contents.drafted`."""
    with locked(cluster):
        image, content, newest = _opened(cluster, name, sha256, size, base)
    draft = None
    try:
        blocks = b""
        if newest is not None:
            blocks = contents.read_blocks(cluster, newest)
            contents.roll_back(image, newest.snapshot)
            if image.size() != size:
                image.resize(size)
        draft = RadosDraft(cluster, image, content, blocks, newest is None)
        yield draft
    finally:
        if draft is not None:
            draft.settle()
        kept = draft is not None and draft.kept
        if newest is not None and not kept:
            _quietly(lambda: contents.roll_back(image, newest.snapshot))
        image.close()
        if newest is None and not kept:
            _quietly(lambda: contents.discard_draft(cluster, content.holder))


def _opened(
    cluster: Cluster, name: str, sha256: str, size: int, base: Content | None
) -> tuple[rbd.Image, Content, Content | None]:
    """The line to write to, open; the content to be made; the newest content in the line, None for a new line."""
    pool = cluster.image_pool
    if base is not None and exists(pool, base.holder):
        contents.refuse_held(cluster, name, base.holder)
        image = rbd.Image(pool, base.holder)
        whole = [snapshot for snapshot in contents.snapshots(image) if image.is_protected_snap(snapshot)]
        if whole:
            return image, Content(base.holder, sha256), Content(base.holder, whole[-1])
        image.close()
    line = contents.line_name(name, sha256)
    contents.refuse_held(cluster, name, unfinished(line))
    contents.discard_draft(cluster, line)
    rbd.RBD().create(pool, unfinished(line), size, _ORDER)
    return rbd.Image(pool, unfinished(line)), Content(line, sha256), None


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except (rados.Error, rbd.Error):
        pass  # the first error is the one to tell, and the next writer clears away
