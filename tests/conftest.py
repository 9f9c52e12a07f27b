# SPDX-License-Identifier: BSD-2-Clause
"""For all tiers: where temporary folders are."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A folder for this run alone, with a short name.

    pytest's own are shared by all runs of a user and have longer and longer names, and the path of a Unix socket may
    have no more than 107 bytes (unix(7)).
    """
    if config.option.basetemp is None:
        folder = tempfile.mkdtemp(prefix="gc-", dir="/tmp")
        config.option.basetemp = folder
        config.add_cleanup(lambda: shutil.rmtree(Path(folder), ignore_errors=True))
