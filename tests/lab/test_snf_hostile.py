# SPDX-License-Identifier: BSD-2-Clause
"""Images that mean harm. Each deployment ends soon, with the task and the reason where it fails, and leaves nothing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from ganeti_cloud.process import run
from lab.fuzzing import mutations
from lab.hostile import HOSTILE, Ending
from lab.lab import Lab
from lab.node import Node
from lab.small_linux import make_disk, make_volume
from lab.spec import Release
from lab.windows_like import make_disk as make_windows
from tests.lab.support import Result, call

pytestmark = pytest.mark.lab

in_the_helper = pytest.mark.one_release(
    "bookworm",
    "They are read in the helper machine alone, which is the same on both; of the fuzzed ones each has half.",
)

# The limit of a deployment as the packages set it, and what the node needs around it.
LIMIT_S = 150.0
PASSWORD = "keep-this-to-yourself"  # noqa: S105 - it is looked for in what is left
FOLDER = "/srv/shared/hostile"
AT_A_TIME = 2
SHARE = 25  # of the fuzzed disks of a kind, on each release

# An error that somebody can act on: what was being done, and why it did not work.
REASON = re.compile(r"error: ([A-Z][A-Za-z]+): \S.{3,}")
# Of the node, what nothing in a deployment may change.
STATE = """
cat /proc/self/mountinfo
losetup --list --noheadings --output NAME,BACK-FILE | grep -F hostile
pgrep --full --list-full 'qemu-system|qemu-nbd|qemu-storage-daemon|bwrap'
ls -A /tmp /var/tmp /run/ganeti-cloud/snf-image
cat /proc/sys/kernel/{core_pattern,sysrq,modprobe,hostname}
ip -brief link
true
"""


@pytest.fixture(scope="module")
def node(lab: Lab) -> Node:
    node = lab.node(1)
    # What a first deployment finds out and keeps is there before anything is compared.
    call(node, ["sh", "-c", "truncate --size=1M /root/first && snf-image deploy --disk /root/first; rm /root/first"])
    return node


@pytest.fixture(scope="module")
def folder(lab: Lab, node: Node) -> Iterator[Path]:
    """The folder of disks, which the node sees as FOLDER. At the end of all tests the node is what it was before."""
    before = state(node)
    where = lab.places.shared / "hostile"
    where.mkdir(exist_ok=True)
    (where / "password").write_text(f"{PASSWORD}\n", encoding="utf-8")
    yield where
    shutil.rmtree(where)
    assert state(node) == before


def state(node: Node) -> list[str]:
    lines = call(node, ["bash", "-c", STATE]).stdout.splitlines()
    return sorted(line for line in lines if "pgrep" not in line)


def deploy(node: Node, disk: Path, *more: str) -> Result:
    """Deploy the disk as it is, with everything that can be wished for."""
    argv = ["snf-image", "deploy", "--json", "--disk", f"{FOLDER}/{disk.name}", "--hostname", "web1.example.com"]
    argv += ["--password-file", f"{FOLDER}/password", "--nic", "mac=aa:00:00:00:00:01,ip=192.0.2.7,subnet=192.0.2.0/24"]
    return call(node, [*argv, *more])


def judged(result: Result, ending: Ending) -> str:
    """What is wrong with how a deployment ended; nothing when it is as it should be."""
    told = [json.loads(line) for line in result.stdout.splitlines()]
    errors = [each for each in told if each["type"] == "image-error"]
    if result.seconds > LIMIT_S:
        return f"it took {result.seconds:.0f} s"
    if PASSWORD in result.stdout + result.stderr:
        return "the password was told"
    if result.status == 0:
        return "it succeeded" if ending is Ending.FAILS else "it told an error and succeeded" if errors else ""
    if ending is Ending.SUCCEEDS:
        return f"it failed: {result.stderr}"
    said = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    if len(said) != 1 or REASON.fullmatch(said[0]) is None:
        return f"the error names no task or no reason: {result.stderr!r}"
    return "" if errors else f"there was no image-error: {result.stdout!r}"


@pytest.fixture(scope="module")
def endings(node: Node, folder: Path) -> Iterator[dict[str, Future[str]]]:
    """What is wrong with the end of each of the hostile deployments, of which some run at a time."""

    def tried(name: str) -> str:
        disk = folder / f"hostile-{list(HOSTILE).index(name)}.raw"
        HOSTILE[name].make(disk)
        result = deploy(node, disk)
        disk.unlink()
        return judged(result, HOSTILE[name].ending)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {name: pool.submit(tried, name) for name in HOSTILE}


@in_the_helper
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image(endings: dict[str, Future[str]], name: str) -> None:
    assert endings[name].result() == ""


@in_the_helper
def test_a_harmless_image(node: Node, folder: Path) -> None:
    """What the hostile ones were made of: it is not for that that they fail."""
    for kind in ("ext4", "xfs", "btrfs"):
        disk = base(folder, kind)
        assert judged(deploy(node, disk), Ending.SUCCEEDS) == ""


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "ntfs"])
def test_fuzzed_images(lab: Lab, node: Node, folder: Path, kind: str) -> None:
    """A hundred for each release, and others for the other."""
    first = 0 if lab.spec.release is Release.BOOKWORM else SHARE
    original = base(folder, kind)
    changes = list(mutations(kind, original, range(first, first + SHARE)))

    def tried(index: int) -> str:
        disk = folder / f"{kind}-{index}.raw"
        run(["cp", "--sparse=always", "--reflink=auto", str(original), str(disk)], timeout_s=60)
        changes[index].apply(disk)
        wrong = judged(deploy(node, disk), Ending.EITHER)
        disk.unlink()
        return wrong and f"{kind} {changes[index].number} ({changes[index].region}): {wrong}"

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        assert [wrong for wrong in pool.map(tried, range(SHARE)) if wrong] == []


def base(folder: Path, kind: str) -> Path:
    """A disk with a guest on a file system of *kind*, and some space behind it to grow into."""
    disk = folder / f"{kind}.raw"
    if kind == "ntfs":
        make_windows(disk)
    else:
        make_volume(folder / "volume", kind)
        make_disk(disk, folder / "volume", table="logical" if kind == "btrfs" else "gpt")
    return disk
