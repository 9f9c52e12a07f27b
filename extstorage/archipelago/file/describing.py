# SPDX-License-Identifier: BSD-2-Clause
"""What is known of a volume."""

from __future__ import annotations

import os

from archipelago.contract.volumes import VolumeRecord
from archipelago.file import data, openings
from archipelago.file.layout import Layout
from archipelago.file.snapshots import clones
from archipelago.file.volumes import require


def describe(layout: Layout, name: str) -> VolumeRecord:
    """See :meth:`archipelago.contract.volumes.Volumes.describe`.

    What a reflink shares counts as used, as it does for `du`: the file system does not say it in one number.
    """
    record = require(layout, name)
    own = {record.chain[0], *(saved.chain[0] for saved in record.snapshots)}
    return VolumeRecord(
        name=name,
        size=data.size_of(layout.data(record.chain[0])),
        used=sum(os.stat(layout.data(file)).st_blocks * 512 for file in own),
        created=record.created,
        named=record.named,
        origin=record.origin,
        owner=record.owner,
        cluster=record.cluster,
        depth=len(record.chain) - 1,
        snapshots=[saved.name for saved in record.snapshots],
        clones=clones(layout, name, record.snapshots),
        opened_by=[opening.host for opening in openings.openings(layout, name)],
    )
