# SPDX-License-Identifier: BSD-2-Clause
"""What garbage collection decides about a volume, and about what is in the trash."""

from __future__ import annotations

import pytest

from archipelago import collecting
from archipelago.collecting import Finding
from archipelago.contract.volumes import TrashRecord, VolumeRecord
from archipelago.ganeti.usage import Usage

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
HOUR = 3600.0
USAGE = Usage("cluster", {}, complete=True, busy_since=None)
RECORD = VolumeRecord(
    name="v",
    size=1 << 30,
    used=0,
    created="2027-01-15T06:00:00+00:00",
    named="2027-01-15T06:00:00+00:00",
    origin="",
    owner="originstname+inst1",
    cluster="cluster",
    depth=0,
    snapshots=[],
    clones=[],
    opened_by=[],
)


def action(record: VolumeRecord = RECORD, usage: Usage = USAGE, older_s: float = HOUR) -> str | None:
    finding = collecting.judged(record, usage, NOW, older_s)
    return finding and finding.action


def test_an_old_volume_of_no_disk_goes_to_the_trash() -> None:
    assert action() == "trash"
    assert action(RECORD._replace(snapshots=["kept"])) == "trash"  # with its snapshots


@pytest.mark.parametrize("cluster", ["", "other"])
def test_the_volumes_of_others_are_none_of_our_business(cluster: str) -> None:
    assert action(RECORD._replace(cluster=cluster)) is None


def test_without_a_cluster_of_our_own_nothing_is() -> None:
    assert action(RECORD._replace(cluster=""), USAGE._replace(cluster="")) is None


def test_age_counts_from_the_name() -> None:
    assert action(older_s=2 * HOUR + 1) is None
    assert action(older_s=2 * HOUR - 1) == "trash"
    assert action(RECORD._replace(named="2027-01-15T07:30:00+00:00")) is None  # a disk has just taken it over


def test_a_job_that_runs_protects_what_was_made_since() -> None:
    made = NOW - 2 * HOUR
    assert action(usage=USAGE._replace(busy_since=made - 1)) is None
    assert action(usage=USAGE._replace(busy_since=made + 299)) is None  # clocks differ
    assert action(usage=USAGE._replace(busy_since=made + 301)) == "trash"


@pytest.mark.parametrize(
    ("record", "usage", "why"),
    [
        (RECORD._replace(opened_by=["n1", "n2"]), USAGE, "no disk, but open on n1, n2"),
        (RECORD._replace(clones=["c"]), USAGE, "no disk, but shared by clones: c"),
        (
            RECORD,
            USAGE._replace(complete=False),
            "no disk, but detached disks cannot be seen from this node: ask on the master",
        ),
    ],
)
def test_what_stays_and_why(record: VolumeRecord, usage: Usage, why: str) -> None:
    assert collecting.judged(record, usage, NOW, HOUR) == Finding("stays", "v", why)


def test_the_trash() -> None:
    kept = TrashRecord("1", "a", "2027-01-15T06:00:00+00:00", "2027-01-15T08:00:01+00:00", [], [])
    over = kept._replace(id="2", name="b", kept_until="2027-01-15T08:00:00+00:00")
    shared = over._replace(id="3", name="c", clones=["x"])
    assert [(each.action, each.name) for each in collecting.expired([kept, over, shared], NOW)] == [
        ("purge", "b"),
        ("stays", "c"),
    ]
