# SPDX-License-Identifier: BSD-2-Clause
"""Ceph's library writes to freed memory after a clone that it refused, unless our connection keeps it from that."""

from __future__ import annotations

import pytest

from tests.lab.support import Provider, call, told

pytestmark = [pytest.mark.lab, pytest.mark.backends("rados")]

_REFUSED = """
import sys
import rbd
from archipelago.parameters import Settings
from archipelago.rados.cluster import connected
with connected(Settings.load("/etc/ganeti-cloud/archipelago.toml")) as cluster:
    for _ in range(300):
        try:
            rbd.RBD().clone(cluster.pool, sys.argv[1], "s", cluster.pool, sys.argv[1] + ".clone")
        except rbd.InvalidArgument:
            pass
        rbd.Image(cluster.pool, sys.argv[1]).close()
"""


@pytest.mark.parametrize("clone_format", ["1"], indirect=True)
def test_the_library_does_not_crash_after_clones_that_it_refused(provider: Provider, clone_format: str) -> None:
    provider.ok("create", VOL_SIZE="8")
    told(provider.node, "volume", "snapshot", provider.volume, "s")
    # Freed memory is filled (mallopt(3)): what still uses it is found out at once, and not now and then.
    argv = ["env", "MALLOC_PERTURB_=165", "/usr/bin/python3", "-c", _REFUSED, provider.volume]
    result = call(provider.node, argv)
    assert told(provider.node, "snapshot", "remove", f"{provider.volume}@s")
    assert result.status == 0, result
