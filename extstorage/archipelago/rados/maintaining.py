# SPDX-License-Identifier: BSD-2-Clause
"""One client at a time maintains a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import rados

from archipelago.contract.volumes import MaintainedElsewhere
from archipelago.rados import locks
from archipelago.rados.cluster import Cluster
from archipelago.rados.volumes import DEEP_OBJECT

_LOCK = "maintenance"


@contextmanager
def maintaining(cluster: Cluster) -> Iterator[None]:
    """See :meth:`archipelago.contract.volumes.Maintenance.maintaining`.

    At worst two nodes do what can be done twice.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.held(cluster.pool, DEEP_OBJECT, _LOCK))
        except rados.ObjectBusy as err:
            raise MaintainedElsewhere(
                "another node maintains this store just now",
                hint="there is nothing to do; a node that died at it is forgotten after a minute",
            ) from err
        yield
