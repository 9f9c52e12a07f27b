# SPDX-License-Identifier: BSD-2-Clause
"""What the system's log is told of guests that begin too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from kvm_ifup.running import overflowing


def test_it_is_told_once_for_each_time(tmp_path: Path) -> None:
    log: list[str] = []

    def tell(**overflows: int) -> list[str]:
        log.clear()
        overflowing.tell(tmp_path, overflows, log.append)
        return [line.partition(" packets")[0] for line in log]

    assert tell() == []
    assert not (tmp_path / "overflows").exists()
    assert tell(tap0=5, tap1=1) == ["tap0: filter: 5", "tap1: filter: 1"]
    assert tell(tap0=5, tap1=1) == []
    assert tell(tap0=7, tap1=1) == ["tap0: filter: 2"]
    # The tap of another guest.
    assert tell(tap0=3) == ["tap0: filter: 3"]
    assert tell() == []
    assert tell(tap0=3) == ["tap0: filter: 3"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"tap0": "5"}', "[" * 100_000])
def test_what_cannot_be_read_is_told_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "overflows").write_text(text, encoding="ascii")
    log: list[str] = []
    overflowing.tell(tmp_path, {"tap0": 5}, log.append)
    assert len(log) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CloudError) as caught:
        overflowing.tell(tmp_path / "nosuch", {"tap0": 5}, list[str]().append)
    assert "nosuch" in str(caught.value)
    assert caught.value.hint
