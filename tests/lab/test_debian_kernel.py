# SPDX-License-Identifier: BSD-2-Clause
"""What the kernel of the development machine may lack, shown in Debian's own: nft puts packets into queues there."""

from __future__ import annotations

import pytest

from lab.spec import Release
from tests.lab.conftest import Tried

pytestmark = pytest.mark.lab


def test_nft_alone_brings_packets_of_taps_into_queues(release: Release, tried: Tried) -> None:
    status, said = tried(release)["queues"]
    assert status == 0, said
    assert " passed in " in said
    assert "skipped" not in said
