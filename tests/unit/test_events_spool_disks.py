# SPDX-License-Identifier: BSD-2-Clause
"""The spool on file systems that lose their power, are full, or do not answer: real ones, on loop devices."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud import process
from tests.unit.test_house import ROOT

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount"),
]


def on_a_disk(work: Path, *what: str) -> Any:
    """What tests/unit/spool_disks.py tells of *what*; it leaves no mount behind, however it ends."""
    argv = ["unshare", "--mount", "--propagation=private", sys.executable, "-m", "tests.unit.spool_disks"]
    name, *more = what
    return json.loads(process.run([*argv, name, str(work), *more], timeout_s=120, env={"PYTHONPATH": str(ROOT)}))


def test_what_was_put_outlives_the_power(tmp_path: Path) -> None:
    found = on_a_disk(tmp_path, "power-cut")
    assert len(found["returned"]) == 40
    assert found["whole"] == found["returned"]
    assert found["torn"] == []
    assert found["after"] == [*found["returned"], "id-1000"]
    assert found["lost"] == 7


def test_without_the_sync_of_files_not_all_would_be_whole(tmp_path: Path) -> None:
    """That the test above can fail; and nothing torn is taken for an event."""
    found = on_a_disk(tmp_path, "power-cut", "files")
    assert found["torn"] != []  # how many, is up to the kernel
    assert found["whole"] == found["returned"][: 40 - len(found["torn"])]


def test_without_the_sync_of_the_folder_the_last_would_be_gone(tmp_path: Path) -> None:
    found = on_a_disk(tmp_path, "power-cut", "folders")
    assert (found["whole"], found["torn"]) == (found["returned"][:-1], [])


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_a_full_disk_is_counted_and_told(tmp_path: Path, kind: str) -> None:
    found = on_a_disk(tmp_path, "full", kind)
    reason = f"{tmp_path}/disk/spool takes no more events: No space left on device"
    assert found["refused"] == [reason, reason, "patient"]
    assert found["others"] == [".sequence"]
    # On the small one there is never as much free as is left to others.
    assert found["room"] == [kind == "ext4", False]
    assert found["lost"] == 2
    assert found["content"] == {"whole": ["id-1", "id-102"], "torn": []}


def test_a_frozen_disk_holds_who_writes_and_loses_nothing_else(tmp_path: Path) -> None:
    found = on_a_disk(tmp_path, "frozen")
    assert found["hung"] == [True, True]
    assert found["ends"] == [9, 0]
    # What was left behind gets there in the end; what was killed does, or not.
    assert found["content"]["torn"] == []
    assert [each for each in found["content"]["whole"] if each != "id-2"] == ["id-1", "id-3", "id-4"]
