# SPDX-License-Identifier: BSD-2-Clause
"""What a volume holds at one moment, kept while the volume goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from archipelago.file import data, openings, records
from archipelago.file.layout import Layout
from archipelago.file.records import Chain, Record
from ganeti_cloud.errors import StorageError


@contextmanager
def moment(layout: Layout, record: Record, name: str) -> Iterator[tuple[Chain, bool]]:
    """A chain that holds what the volume of *record* holds now, for the block to refer to. Its lock must be held.

    With reflinks it is a file of its own (and True is given), called after *name*. Otherwise it is what was the
    volume's own chain until now, which never changes again: the volume goes on in an overlay over it, and other users
    of the chain must do the same. While an overlay is attached only the daemon that has it open can change to another;
    raises StorageError when that is on another node.
    """
    hosts = openings.attached(layout, record.name)
    if not hosts or data.format_of(record.chain[0]) == "raw":
        with data.drafted(layout, name, data.format_of(record.chain[0])) as file:
            if data.make_reflink(layout, file, record.chain[0]):
                data.make_durable(layout, file)
                yield (file, *record.chain[1:]), True
                return
    if hosts and hosts != [openings.this_host()]:
        raise StorageError(
            f"volume {record.name} is attached on {', '.join(hosts)}, and this file system has no reflinks",
            hint="run the command on that node",
        )
    _go_on_above(layout, record, attached=bool(hosts))
    yield record.chain, False


def _go_on_above(layout: Layout, record: Record, *, attached: bool) -> None:
    """Have the volume of *record* continue in a new overlay over its chain."""
    size = data.size_of(layout.data(record.chain[0]))
    with data.drafted(layout, record.name, "qcow2") as file:
        data.make_overlay(layout, file, record.chain[0], size)
        # First the record: dies this process now, the volume still holds all that is written, wherever it is written.
        chain = (file, *record.chain)
        records.write(layout, "volumes", record._replace(chain=chain))
    if attached:
        from archipelago.file import live

        live.follow(layout, record.name, chain)
