# SPDX-License-Identifier: BSD-2-Clause
"""The filter of taps in Debian's own kernels: what guests send, what reaches them, and what nft there says of it.

They are older than that of the development machine may be, and have no br_netfilter here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.lab import DEBS
from lab.native import run_native
from lab.spec import Release
from lab.timeline import Timeline

pytestmark = pytest.mark.lab


def test_the_filter_in_debians_own_kernel(release: Release, tmp_path: Path) -> None:
    modules = "modprobe bridge && ! test -e /proc/sys/net/bridge"
    files = " ".join(
        f"tests/unit/test_kvm_ifup_filter_{topic}.py" for topic in ("receiving", "flows", "sending", "life")
    )
    # That frames would pass without the filter needs no other kernel.
    tests = f"python3 -m pytest --quiet -p no:cacheprovider -k 'not stops_it' {files}"
    status, said = run_native(
        release, f"{{ {modules} && {tests}; }}", tmp_path, Timeline(print), debs=DEBS, timeout_s=1500
    )
    assert status == 0, said
    assert " passed" in said
    assert "skipped" not in said
