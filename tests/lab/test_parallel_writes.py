# SPDX-License-Identifier: BSD-2-Clause
"""A device keeps what is written to it by many at once, or there is none: QEMU 7.2's FUSE export mixes such writes up
where they end in a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.spec import Release
from tests.lab.backends import FOLDER
from tests.lab.support import Provider, call

pytestmark = pytest.mark.lab

WRITES = Path(__file__).with_name("parallel_writes.py")


@pytest.mark.parametrize("parameters", [{"driver": "rados"}, {"driver": "file", "pool": "parallel"}], ids=str)
def test_writes_at_the_same_time_do_not_mix(lab: Lab, parameters: dict[str, str]) -> None:
    node = lab.node(1)
    (lab.places.shared / WRITES.name).write_bytes(WRITES.read_bytes())
    node.run(["mkdir", "-p", "/srv/shared/archipelago/parallel"], timeout_s=30)
    node.run(["ln", "-sfn", "/srv/shared/archipelago", FOLDER], timeout_s=30)
    provider = Provider(node, f"{os.urandom(16).hex()}.ext.disk0", parameters)
    provider.ok("create", VOL_SIZE="64")
    try:
        attached = provider("attach")
        if parameters["driver"] == "file" and lab.spec.release is Release.BOOKWORM:
            assert (attached.status, "mixes up parallel writes" in attached.stderr) == (1, True)
            return
        device = attached.stdout.splitlines()[0]
        done = call(node, ["/usr/bin/python3", f"/srv/shared/{WRITES.name}", device])
        assert done.stdout == "1024 blocks, 0 wrong, 0 writers failed\n", done
    finally:
        provider.ok("remove")
