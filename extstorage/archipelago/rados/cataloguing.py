# SPDX-License-Identifier: BSD-2-Clause
"""The lock of the catalogue: whoever adds or removes a content holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import rados

from archipelago.rados import locks
from archipelago.rados.cluster import Cluster
from archipelago.rados.records import OBJECT
from ganeti_cloud.errors import StorageError

_LOCK = "ganeti-cloud"
_WAIT_S = 120.0


@contextmanager
def locked(cluster: Cluster) -> Iterator[None]:
    """See :meth:`archipelago.contract.contents.Contents.catalogue_locked`."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(cluster.image_pool, OBJECT, _LOCK, _WAIT_S))
        except rados.ObjectBusy as err:
            raise StorageError(
                f"somebody else has been changing the catalogue of images for {_WAIT_S:.0f} s",
                hint=f"`rados -p POOL lock info {OBJECT} {_LOCK}` tells who; try again later",
            ) from err
        yield
