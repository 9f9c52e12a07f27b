# SPDX-License-Identifier: BSD-2-Clause
"""VLANs of bridges, in Debian's own kernels: that of the development machine may not filter them."""

from __future__ import annotations

import pytest

from lab.spec import Release
from tests.lab.conftest import Tried

pytestmark = pytest.mark.lab


def test_taps_get_the_vlans_that_they_ask_for(release: Release, tried: Tried) -> None:
    status, said = tried(release)["vlans"]
    assert status == 0, said
    assert " passed in " in said
    assert "skipped" not in said
