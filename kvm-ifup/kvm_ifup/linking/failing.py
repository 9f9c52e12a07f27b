# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel refuses, as an error for people."""

from __future__ import annotations

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
        raise CloudError(f"{what}: {err.strerror or err}", hint="it has to be root, with CAP_NET_ADMIN") from err
