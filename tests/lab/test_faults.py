# SPDX-License-Identifier: BSD-2-Clause
"""OSDs that die and hang while disks are made: every call ends, and no disk is lost, doubled or half."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from archipelago.provider import _VERBS
from lab.lab import Lab
from lab.spec import LabSpec, Release
from tests.lab.support import MIB, Store, imported

pytestmark = [pytest.mark.lab, pytest.mark.alone]

CREATES = 200
WORKERS = 6
ORIGIN = "faults"

# A hung OSD is noticed in seconds and not in twenty, and clients ask soon who is in charge now.
OPTIONS = (
    ("osd_client_watch_timeout", "2"),
    ("osd_heartbeat_interval", "1"),
    ("osd_heartbeat_grace", "4"),
    ("objecter_timeout", "2"),
    ("objecter_tick_interval", "1"),
)

Calls = Mapping[str, Sequence[tuple[str, int, float, str]]]


@pytest.fixture(scope="module")
def three_osds(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A lab of its own, whose Ceph keeps two copies on three OSDs; with the first release that is tested."""
    release = Release((request.config.getoption("--release") or [Release.TRIXIE])[0])
    spec = LabSpec(name="testosds", release=release, nodes=1, osds=3, subnet="198.18.25.0/24", ceph_options=OPTIONS)
    lab = Lab.up(spec)
    yield lab
    if not request.config.getoption("--keep"):
        lab.down()


def run(lab: Lab, names: Sequence[str], *verbs: str) -> Calls:
    """Call *verbs* for all the volumes *names*, some at a time; what came of it."""
    program = Store(lab).put(Path(__file__).with_name("cloning.py"))
    argv = ["/usr/bin/python3", program, str(WORKERS), ORIGIN, *verbs]
    calls: Calls = json.loads(lab.node(1).run(argv, timeout_s=900, stdin="\n".join(names)))
    limits = {verb: limit_s for verb, (_, limit_s) in _VERBS.items()}
    late = [each for made in calls.values() for each in made if each[2] > limits[each[0]] + 5]
    assert late == []
    return calls


def systemctl(lab: Lab, *words: str) -> None:
    lab.node("store").run(["systemctl", *words], timeout_s=60)


def hurt(lab: Lab) -> None:
    """Kill one OSD and hang another, one after the other; some seconds later both are there again."""
    systemctl(lab, "kill", "--signal=KILL", "lab-ceph-osd0")
    time.sleep(2)
    systemctl(lab, "kill", "--signal=STOP", "lab-ceph-osd1")
    time.sleep(12)
    systemctl(lab, "kill", "--signal=CONT", "lab-ceph-osd1")
    systemctl(lab, "reset-failed", "lab-ceph-osd0")
    systemctl(lab, "start", "lab-ceph-osd0")


def wait_until_up(lab: Lab) -> None:
    """Until all OSDs are in service again."""
    end = time.monotonic() + 120
    while True:
        state = json.loads(lab.node("store").run(["ceph", "osd", "stat", "--format=json"], timeout_s=60))
        if state["num_up_osds"] == 3:
            return
        assert time.monotonic() < end, state
        time.sleep(0.5)


def whole(lab: Lab, names: Sequence[str]) -> set[str]:
    """Which of the volumes are there; each of them is a clone, and of the right size."""
    store = Store(lab)
    listed = json.loads(store.node.run(["rbd", "ls", "--long", "--format=json"], timeout_s=300))
    volumes = [entry for entry in listed if ".ext.disk" in entry["image"]]
    published = [entry for entry in volumes if not entry["image"].endswith(".unfinished")]
    found = [entry["image"] for entry in published]
    assert len(found) == len(set(found))
    assert set(found) <= set(names)
    assert [entry["image"] for entry in published if "parent" not in entry or entry["size"] != 64 * MIB] == []
    return set(found)


def test_creates_while_an_osd_dies_and_another_hangs(three_osds: Lab, tmp_path_factory: pytest.TempPathFactory) -> None:
    lab = three_osds
    store = Store(lab)
    path = tmp_path_factory.mktemp("image") / f"{ORIGIN}.raw"
    path.write_bytes(os.urandom(8 * MIB))
    names = [f"{os.urandom(8).hex()}.ext.disk0" for _ in range(CREATES)]
    with imported(lab, ORIGIN, path):
        before = store.objects()
        with ThreadPoolExecutor(1) as pool:
            creating = pool.submit(run, lab, names, "create")
            time.sleep(2)
            hurt(lab)
            created = creating.result()
        wait_until_up(lab)
        succeeded = {name for name, calls in created.items() if calls[-1][1] == 0}
        there = whole(lab, names)
        slowest = max(calls[-1][2] for calls in created.values())
        told = (
            f"{CREATES - len(succeeded)} creates failed, {len(there)} disks are there, the longest took {slowest:.1f} s"
        )
        print(told)  # noqa: T201 - for whoever reads a failure
        assert succeeded <= there, "a disk that was made is lost"
        assert len(succeeded) < CREATES or slowest > 5, "nothing was hindered"
        again = run(lab, [name for name in names if name not in succeeded], "create")
        refused = {name for name, calls in again.items() if calls[-1][1] != 0}
        assert all("exists already" in again[name][-1][3] for name in refused), again
        assert refused <= there, "refused, and not there"
        assert whole(lab, names) == set(names)
        removed = run(lab, names, "remove")
        assert [calls for calls in removed.values() if calls[-1][1] != 0] == []
        assert store.leftovers(before) == frozenset()
