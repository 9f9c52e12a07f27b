# SPDX-License-Identifier: BSD-2-Clause
"""The lab's own Ceph after the machine that runs it was busy or suspended for longer than a read lease holds."""

from __future__ import annotations

import time

import pytest

from tests.lab.support import Store

pytestmark = [pytest.mark.lab, pytest.mark.backends("rados")]

_LEASE_S = 16  # osd_heartbeat_grace * osd_pool_default_read_lease_ratio, as Ceph has them


def test_a_store_that_slept_answers_again(store: Store) -> None:
    with store.node.frozen():
        time.sleep(_LEASE_S + 4)
    # Listing asks every placement group, and a lost one never answers.
    store.node.run(["rados", "-p", "rbd", "ls"], timeout_s=30)
