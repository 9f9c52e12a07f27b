# SPDX-License-Identifier: BSD-2-Clause
"""A disk of the instance, for the machine."""

from __future__ import annotations

from typing import NamedTuple


class MachineDisk(NamedTuple):
    """A disk of the instance: a block device or raw file at *path*, or a unix socket of an NBD server at *socket*.

    Exactly one of the two is not empty; of the server it is the default export, the one without a name. *cache* is the
    instance's own ``disk_cache`` (default, none, writeback, writethrough), so that what the guest finds later is what
    was written here; a server has its own.
    """

    path: str
    socket: str
    cache: str
