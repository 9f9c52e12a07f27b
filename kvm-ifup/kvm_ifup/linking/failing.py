# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel refuses, as an error for people."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ganeti_cloud.errors import CloudError
from ganeti_cloud.netlink import Connection


@contextmanager
def kernel(what: str) -> Iterator[Connection]:
    """A connection for the block; what fails in it is a CloudError that says that *what* was not done."""
    try:
        with Connection() as connection:
            yield connection
    except OSError as err:
        refused = err.errno in (errno.EPERM, errno.EACCES)
        hint = "run it as root, with CAP_NET_ADMIN" if refused else "dmesg and ip -details link show may tell more"
        raise CloudError(f"{what}: {err.strerror or err}", hint=hint) from err
