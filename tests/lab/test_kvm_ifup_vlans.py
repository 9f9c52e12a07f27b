# SPDX-License-Identifier: BSD-2-Clause
"""VLANs of bridges, in Debian's own kernels: that of the development machine may not filter them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.lab import DEBS
from lab.native import run_native
from lab.spec import Release
from lab.timeline import Timeline

pytestmark = pytest.mark.lab

TESTS = "tests/unit/test_kvm_ifup_link_vlans.py tests/unit/test_kvm_ifup_link_kernel.py"


def test_taps_get_the_vlans_that_they_ask_for(release: Release, tmp_path: Path) -> None:
    command = f"python3 -m pytest --quiet -p no:cacheprovider {TESTS}"
    status, said = run_native(release, command, tmp_path, Timeline(print), debs=DEBS, timeout_s=900)
    assert status == 0, said
    assert " passed in " in said
    assert "skipped" not in said
