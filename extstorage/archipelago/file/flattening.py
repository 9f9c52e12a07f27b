# SPDX-License-Identifier: BSD-2-Clause
"""Giving a volume all its data, so that it needs no other's."""

from __future__ import annotations

import re

from archipelago.contract.volumes import Progress
from archipelago.file import data, openings, records
from archipelago.file.layout import Layout
from archipelago.file.locks import named
from archipelago.file.records import Record
from archipelago.file.volumes import require
from ganeti_cloud.errors import StorageError
from ganeti_cloud.process import follow

_CONVERT_S = 6 * 3600.0
_PERCENT = re.compile(r"\(\s*(\d+(?:\.\d+)?)/100%\)")


def flatten(layout: Layout, name: str, progress: Progress) -> None:
    """See :meth:`archipelago.contract.volumes.Volumes.flatten`.

    One that is attached nowhere becomes a raw file, which several nodes can attach. An overlay that is in use stays
    what it is, with all data in it; raises StorageError when that is on another node than this.
    """
    record = require(layout, name)
    hosts = openings.attached(layout, name)
    if len(record.chain) == 1 and (hosts or data.format_of(record.chain[0]) == "raw"):
        return
    if hosts and hosts != [openings.this_host()]:
        raise StorageError(
            f"volume {name} is attached on {', '.join(hosts)}, where alone it can be flattened",
            hint="run the command on that node",
        )
    if hosts:
        _while_attached(layout, name, record, progress)
    else:
        _copied(layout, name, progress)
    data.collect(layout)


def _while_attached(layout: Layout, name: str, record: Record, progress: Progress) -> None:
    from archipelago.file import live

    live.flatten(layout, name, record.chain, progress)
    with named(layout, name):
        record = require(layout, name)
        if live.is_whole(layout, record.chain[0]):
            _replace(layout, record, record.chain[0])


def _copied(layout: Layout, name: str, progress: Progress) -> None:
    def on_text(text: str) -> None:
        for found in _PERCENT.findall(text)[-1:]:
            progress(float(found))

    with openings.kept(layout, name), data.drafted(layout, name, "raw") as file:
        head = require(layout, name).chain[0]
        argv = ["qemu-img", "convert", "-p", "-f", data.format_of(head), "-O", "raw"]
        hint = "see `df` for the shared folder; nothing of the copy is kept"
        follow([*argv, layout.data(head), layout.data(file)], on_text, timeout_s=_CONVERT_S, hint=hint)
        data.make_durable(layout, file)
        with named(layout, name):
            _replace(layout, require(layout, name), file)


def _replace(layout: Layout, record: Record, file: str) -> None:
    data.promise_removal(layout, [entry for entry in record.chain if entry != file])
    records.write(layout, "volumes", record._replace(chain=(file,)))
