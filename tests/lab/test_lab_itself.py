# SPDX-License-Identifier: BSD-2-Clause
"""The lab's own promises: what is up twice, crashed, side by side with another, and gone without a trace.

The tests build on each other and run in the order of this file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_cloud.errors import CommandError
from lab.console import guest_report
from lab.golden import golden
from lab.lab import Lab, down
from lab.places import Places
from lab.spec import LabSpec, Release, Storage
from lab.timeline import Timeline

pytestmark = [pytest.mark.lab, pytest.mark.host_tools, pytest.mark.alone]

_NAME, _OTHER = "itself", "itself2"
_SMALL = LabSpec(name=_NAME, release=Release.TRIXIE, nodes=2, storage=Storage.FILE, subnet="198.18.40.0/24")
_BESIDE = LabSpec(name=_OTHER, release=Release.BOOKWORM, nodes=1, storage=Storage.FILE, subnet="198.18.41.0/24")
# Counters, and what any process of the machine changes.
_RESTLESS = ("fs.dentry-state", "fs.file-nr", "fs.inode-", "kernel.ns_last_pid", "kernel.pty.nr", "kernel.random.")


def _machine() -> dict[str, str]:
    """What a lab must leave alone: kernel settings, addresses, packages and Ganeti's files."""
    settings = _output(["sysctl", "--all", "--ignore"]).splitlines()
    return {
        "settings": "\n".join(line for line in settings if not line.startswith(_RESTLESS)),
        "network": _output(["ip", "-o", "-4", "address"]),
        "packages": _output(["dpkg-query", "--list"]),
        "ganeti": _output(["find", "/etc/ganeti", "-ls"]) if Path("/etc/ganeti").exists() else "",
    }


def _output(argv: list[str]) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    return result.stdout


def _traces(name: str) -> list[str]:
    """What is left of the lab *name*, by looking at the machine without the lab's help."""
    found = [str(path) for path in (Places(name).run, Places(name).disk) if path.exists()]
    found += [str(path) for path in Path("/run/netns").glob(f"gcl-{name}-*")]
    found += [line for line in _output(["findmnt", "--list"]).splitlines() if f"/ganeti-cloud-lab/{name}/" in line]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/ganeti-cloud-lab/{name}")]
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"GANETI_CLOUD_LAB={name}".encode() in entry.read_bytes().split(b"\0"):
                found.append(str(entry))
        except OSError:
            continue
    return found


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder without packages."""
    return tmp_path_factory.mktemp("debs")


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return _machine()


@pytest.fixture(scope="module")
def small(nothing: Path, before: dict[str, str]) -> Iterator[Lab]:
    assert before["settings"]
    yield Lab.up(_SMALL, debs=nothing)
    down(_OTHER)
    down(_NAME)


def test_up_twice_changes_nothing(small: Lab, nothing: Path) -> None:
    pids = [node.pid for node in small.nodes]
    assert None not in pids
    again = Lab.up(_SMALL, debs=nothing)
    assert (again, [node.pid for node in again.nodes]) == (small, pids)


def test_the_cluster_is_sound(small: Lab) -> None:
    verify = ["gnt-cluster", "verify", "--ignore-errors=ENODESETUP"]
    assert "ERROR" not in small.node(1).run(verify, timeout_s=120)


def test_a_command_fails_with_its_node_and_last_line(small: Lab) -> None:
    with pytest.raises(CommandError) as caught:
        small.node(2).run(["ls", "/nowhere"], timeout_s=10)
    assert (str(caught.value), caught.value.status) == (
        "node2: ls /nowhere: exit 2: ls: cannot access '/nowhere': No such file or directory",
        2,
    )


def test_exec_passes_everything_through(small: Lab) -> None:
    argv = ["lab/lab", "exec", "--name", small.spec.name, "2", "sh", "-c", "cat; hostname; exit 7"]
    done = subprocess.run(argv, input="in\n", capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (7, "in\nnode2.lab.test\n")


def test_a_golden_image_boots_and_migrates(small: Lab) -> None:
    boss, image = small.node(1), golden(small.spec.release, Timeline())
    add = "gnt-instance add -t sharedfile --disk 0:size=64M --no-install --no-start -o noop -n node2.lab.test"
    boss.run([*add.split(), "--net", "0:link=br-lan", "inst1.lab.test"], timeout_s=120)
    (disk,) = (small.places.shared / "disks").glob("inst1.lab.test/*")
    shutil.copyfile(image.path, disk)
    boss.run(["gnt-instance", "start", "inst1"], timeout_s=120)
    first = guest_report(small.node(2), "inst1", timeout_s=180)
    boss.run(["gnt-instance", "migrate", "-f", "inst1"], timeout_s=180)
    second = guest_report(small.node(1), "inst1", timeout_s=60)
    assert (first.image_sha256, first.disk_bytes) == (image.sha256, image.size_bytes)
    assert second.image_sha256 == image.sha256
    assert second.uptime_s > first.uptime_s  # it went on, and did not start again
    boss.run(["gnt-instance", "remove", "-f", "--shutdown-timeout=1", "inst1"], timeout_s=120)


def test_a_crashed_node_comes_back_with_its_disk(small: Lab, nothing: Path) -> None:
    node = small.node(2)
    node.write("/root/kept", "kept\n")
    small.crash(2)
    small.crash(2)
    assert node.pid is None
    with pytest.raises(CommandError):
        small.node(1).run(["ping", "-c", "1", "-W", "1", "node2"], timeout_s=10)
    Lab.up(_SMALL, debs=nothing)
    assert node.run(["cat", "/root/kept"], timeout_s=10) == "kept\n"
    listed = small.node(1).run(["gnt-node", "list", "--no-headers", "-o", "name,offline"], timeout_s=60)
    assert [line.split() for line in listed.splitlines()] == [["node1.lab.test", "N"], ["node2.lab.test", "N"]]


def test_another_lab_beside_it(small: Lab, nothing: Path) -> None:
    pids = [node.pid for node in small.nodes]
    other = Lab.up(_BESIDE, debs=nothing)
    versions = [lab.node(1).run(["gnt-cluster", "version"], timeout_s=60).splitlines()[0] for lab in (small, other)]
    assert versions[0] != versions[1]
    with pytest.raises(CommandError):
        other.node(1).run(["ping", "-c", "1", "-W", "1", small.node(1).address], timeout_s=10)
    other.down()
    assert _traces(_OTHER) == []
    assert [node.pid for node in small.nodes] == pids


def test_down_finds_a_lab_without_records(small: Lab) -> None:
    file = small.places.shared / "loop.raw"
    file.touch()
    os.truncate(file, 1 << 20)
    device = small.node(1).run(["losetup", "--find", "--show", "/srv/shared/loop.raw"], timeout_s=10).strip()
    small.places.record.unlink()
    down(_NAME)
    down(_NAME)
    assert _traces(_NAME) == []
    assert not Path(f"/sys/block/{Path(device).name}/loop").exists()


def test_the_machine_is_as_before(before: dict[str, str]) -> None:
    assert _machine() == before
