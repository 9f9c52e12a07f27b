# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel of the development machine may lack, shown in Debian's own: nft puts packets into queues there."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.lab import DEBS
from lab.native import run_native
from lab.spec import Release
from lab.timeline import Timeline

pytestmark = pytest.mark.lab

RULES = "tests/unit/test_nfdhcpd_rules_kernel.py"


def test_nft_alone_brings_packets_of_taps_into_queues(release: Release, tmp_path: Path) -> None:
    probe = "python3 -c 'from tests.unit.nfdhcpd_network import nft_queues; assert nft_queues()'"
    tests = f"python3 -m pytest --quiet -p no:cacheprovider {RULES}"
    status, said = run_native(
        release, f"{{ {probe} && {tests}; }}", tmp_path, Timeline(print), debs=DEBS, timeout_s=900
    )
    assert status == 0, said
    assert " passed in " in said
    assert "skipped" not in said
