# SPDX-License-Identifier: BSD-2-Clause
"""The lab's own Ceph after the machine that runs it was busy or suspended for longer than a read lease holds."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lab.support import Store

pytestmark = [pytest.mark.lab, pytest.mark.backends("rados")]

_LEASE_S = 16  # osd_heartbeat_grace * osd_pool_default_read_lease_ratio, as Ceph has them
_WRITE = ["rados", "-p", "rbd", "bench", "30", "write", "-b", "4096"]


def test_a_store_that_slept_answers_again(store: Store) -> None:
    # Only what is asked when a lease is over finds that out: writes are under way all the time, and everywhere.
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.lab.node(1).run, _WRITE, timeout_s=120)
        time.sleep(4)
        with store.node.frozen():
            time.sleep(_LEASE_S + 6)
        assert "Total writes made" in writing.result()
    store.node.run(["rados", "-p", "rbd", "ls"], timeout_s=30)
