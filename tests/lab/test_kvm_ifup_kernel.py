# SPDX-License-Identifier: BSD-2-Clause
"""The filter of taps in Debian's own kernels: what guests send, what reaches them, and what nft there says of it."""

from __future__ import annotations

import pytest

from lab.spec import Release
from tests.lab.conftest import Tried

pytestmark = pytest.mark.lab


def test_the_filter_in_debians_own_kernel(release: Release, tried: Tried) -> None:
    status, said = tried(release)["filter"]
    assert status == 0, said
    assert " passed" in said
    assert "skipped" not in said
