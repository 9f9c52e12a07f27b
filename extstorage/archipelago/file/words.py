# SPDX-License-Identifier: BSD-2-Clause
"""The errors of the shared file system, in words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ganeti_cloud.errors import StorageError


@contextmanager
def explained(folder: str) -> Iterator[None]:
    """Turn an OSError of the block into a StorageError about the shared *folder*."""
    try:
        yield
    except OSError as err:
        if err.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StorageError(
                f"the file system of {folder} is full", hint=f"make room; `df -h {folder}` shows how much there is"
            ) from err
        raise StorageError(
            f"the shared folder {folder} cannot be used: {err}",
            hint="see whether it is mounted, answers, and is writable for root (with NFS: no_root_squash)",
        ) from err
