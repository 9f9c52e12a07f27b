# SPDX-License-Identifier: BSD-2-Clause
"""Whole deployments with the machine's own tools of QEMU; the helper machine is another test's affair."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from ganeti_cloud import process
from ganeti_cloud.errors import CloudError, RequestError
from ganeti_cloud.imagefile import temporary
from snf_image import copying, deploying, serving, targets
from snf_image.machine.running import MachineDisk, MachineSettings
from snf_image.request import Disk
from snf_image.settings import Settings
from snf_image_helper.job import Job
from snf_image_helper.lines import Line
from tests.unit.faketools import FakeTools
from tests.unit.snfsettings import SETTINGS, Ear, request

pytestmark = pytest.mark.host_tools

MIB = 1 << 20
CONTENT = bytes(MIB) + os.urandom(MIB) + bytes(2 * MIB)


class Helper:
    """Stands for the helper machine: remembers what it was given."""

    def __init__(self, fails: CloudError | None = None) -> None:
        self.jobs: list[Job] = []
        self.disks: list[Sequence[MachineDisk]] = []
        self.fails = fails

    def __call__(
        self,
        job: Job,
        disks: Sequence[MachineDisk],
        settings: MachineSettings,
        on_line: Callable[[Line], None],
        on_console: Callable[[str], None],
    ) -> None:
        self.jobs.append(job)
        self.disks.append(disks)
        on_line(Line("task-start", "AssignHostname", ""))
        if self.fails:
            raise self.fails


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A folder with an image; whatever is made for a while is in a folder of the test and gone at its end."""
    folder, place = tmp_path / "images", tmp_path / "tmp"
    folder.mkdir()
    place.mkdir()
    monkeypatch.setattr(temporary, "PLACE", place)
    (folder / "image.raw").write_bytes(CONTENT)
    before = children()
    yield SETTINGS._replace(folder=folder)
    assert list(place.iterdir()) == []
    assert children() == before


def children() -> list[str]:
    """What this process has started and not ended."""
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, check=False)
    return [line for line in listed.stdout.decode().splitlines() if " ps " not in line]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A disk with what an earlier system left."""
    path = tmp_path / "disk"
    path.write_bytes(b"\xee" * (8 * MIB))
    return path


def deploy(site: Settings, disk: Path, helper: Helper, **parameters: str) -> Ear:
    ear = Ear()
    asked = request(disk, **parameters)
    deploying.carry_out(deploying.plan(asked, site, ear.teller), ear.teller, helper)
    return ear


def test_an_image_is_copied_and_adapted(site: Settings, disk: Path) -> None:
    helper = Helper()
    ear = deploy(site, disk, helper, img_id="image.raw", img_passwd="secret")
    found = disk.read_bytes()
    assert found[: len(CONTENT)] == CONTENT
    # What the old system had at the end of the disk, where GPT has its backup, is gone.
    assert found[-MIB:] == bytes(MIB)
    assert helper.disks == [[MachineDisk(str(disk), "", "default")]]
    assert [(job.hostname, job.password) for job in helper.jobs] == [("vm1.example.com", "secret")]
    assert ear.texts == [
        "Starting image copy of image 'image.raw'...",
        "Image copy finished.",
        "Starting customization VM...",
        "Customization VM finished successfully.",
    ]
    copied = [told.fields for told in ear.told if told.type == "image-copy-progress"]
    assert copied[-1] == {"position": len(CONTENT), "total": len(CONTENT), "progress": 100.0}


def test_a_qcow2_image_is_recognised_and_a_compressed_one_unpacked(site: Settings, disk: Path) -> None:
    raw, packed = site.folder / "image.raw", site.folder / "image.qcow2.gz"
    qcow2 = site.folder / "image.qcow2"
    argv = ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(raw), str(qcow2)]
    subprocess.run(argv, check=True)
    packed.write_bytes(gzip.compress(qcow2.read_bytes(), 1))
    deploy(site, disk, Helper(), img_id="image.qcow2.gz")
    assert disk.read_bytes()[: len(CONTENT)] == CONTENT


def test_null_copies_nothing_and_opens_nothing(site: Settings, disk: Path, fake_tool: FakeTools) -> None:
    before = disk.read_bytes()
    ear = deploy(site._replace(folder=Path("/nonexistent")), disk, Helper(), img_id="null")
    assert disk.read_bytes() == before
    assert "Starting image copy" not in " ".join(ear.texts)


def test_a_reinstallation_without_an_image_says_what_it_means(site: Settings, disk: Path) -> None:
    ear, helper = Ear(), Helper()
    asked = request(disk, img_id="null")._replace(reinstall=True)
    deploying.carry_out(deploying.plan(asked, site, ear.teller), ear.teller, helper)
    assert ear.texts[0].startswith("Reinstallation without an image (img_id=null): the disk keeps its content")
    assert len(helper.jobs) == 1


def test_with_every_task_left_out_no_helper_machine_is_started(site: Settings, disk: Path) -> None:
    helper = Helper()
    ear = deploy(site, disk, helper, img_id="image.raw", img_properties='{"EXCLUDE_ALL_TASKS": "yes"}')
    assert (helper.jobs, disk.read_bytes()[: len(CONTENT)]) == ([], CONTENT)
    assert ear.texts[-1] == "Every task is left out: no customization VM is started"


def test_an_image_larger_than_the_disk_is_refused_before_anything_is_written(site: Settings, disk: Path) -> None:
    disk.write_bytes(b"\xee" * MIB)
    with pytest.raises(RequestError) as caught:
        deploy(site, disk, Helper(), img_id="image.raw")
    assert str(caught.value) == f"image 'image.raw' is 4 MiB large and does not fit on {disk}, which is 1 MiB"
    assert caught.value.hint == "give the disk 4 MiB or more"
    assert disk.read_bytes() == b"\xee" * MIB


def test_an_image_that_needs_another_file_of_the_node_is_refused(site: Settings, disk: Path) -> None:
    overlay = site.folder / "overlay.qcow2"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", "-u", str(overlay), "1M"]
    subprocess.run(argv, check=True)
    with pytest.raises(RequestError, match="image 'overlay.qcow2' has a backing file, which may be any file"):
        deploy(site, disk, Helper(), img_id="overlay.qcow2")


def test_an_image_with_another_checksum_is_refused(site: Settings, disk: Path) -> None:
    right = hashlib.sha256(CONTENT).hexdigest()
    deploy(site, disk, Helper(), img_id="image.raw", img_checksum=f"sha256:{right}")
    with pytest.raises(RequestError, match=f"^image 'image.raw' has the sha256 {right}, not the one"):
        deploy(site, disk, Helper(), img_id="image.raw", img_checksum=f"sha256:{'0' * 64}")


def test_the_failure_of_the_helper_is_that_of_the_deployment(site: Settings, disk: Path) -> None:
    with pytest.raises(CloudError, match="MountImage: no root"):
        deploy(site, disk, Helper(CloudError("MountImage: no root")), img_id="image.raw")


@pytest.mark.parametrize("name", ["/dev/null", "/nonexistent"])
def test_what_is_no_disk_is_refused(site: Settings, name: str) -> None:
    with pytest.raises(RequestError, match=f"^{name}"):
        deploy(site, Path(name), Helper(), img_id="image.raw")


def test_a_copy_that_takes_too_long_is_ended(site: Settings, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CloudError, match="qemu-img convert to .*disk: no end after 0.001 s"):
        deploy(site._replace(copy_limit_s=0.001), disk, Helper(), img_id="image.raw")  # type: ignore[arg-type]  # less than any


def test_an_image_of_the_catalogue_is_copied_from_its_server(
    site: Settings, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fake_tool: FakeTools
) -> None:
    digits = hashlib.sha256(CONTENT).hexdigest()
    version = {"sha256": digits, "size_bytes": len(CONTENT), "properties": {"USERS": "debian", "OSFAMILY": "linux"}}
    told = json.dumps({"name": "debian", "versions": [version]})
    fake_tool(
        "archipelago",
        does=f'if [ "$2" = serve ]; then exec /usr/bin/qemu-nbd --persistent --read-only -f raw --socket="$5" '
        f"{site.folder}/image.raw; fi",
        says=told,
    )
    monkeypatch.setitem(process.BASE_ENV, "PATH", f"{fake_tool.folder}:{process.BASE_ENV['PATH']}")
    helper = Helper()
    deploy(site, disk, helper, img_id="archipelago:debian", inst_properties='{"USERS": "admin"}')
    assert disk.read_bytes()[: len(CONTENT)] == CONTENT
    assert [(job.users, job.os_family) for job in helper.jobs] == [(("admin",), "linux")]


def test_a_disk_without_a_path_is_served_for_the_copy_and_the_helper(
    site: Settings, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QEMU's own file names stand for Ceph's here: what differs is the driver that it loads."""
    monkeypatch.setattr(serving, "_URI", re.compile("file:.*"))
    helper = Helper()
    ear = Ear()
    asked = request(disk, img_id="image.raw")._replace(disks=(Disk("", f"file:{disk}"),), cache="writethrough")
    deploying.carry_out(deploying.plan(asked, site, ear.teller), ear.teller, helper)
    [[machine]] = helper.disks
    assert (machine.path, machine.cache, machine.socket.endswith("/disk0")) == ("", "writethrough", True)
    assert disk.read_bytes()[: len(CONTENT)] == CONTENT


@pytest.mark.parametrize("uri", ["json:{}", "file:/etc/shadow", "/etc/shadow", "rbd:a b", "rbd:x\n"])
def test_only_what_ganeti_hands_to_qemu_is_opened(tmp_path: Path, uri: str) -> None:
    with (
        pytest.raises(RequestError, match="is nothing that QEMU can be given as a disk"),
        targets.opened(Disk("", uri), "default", tmp_path / "socket"),
    ):
        pass


def test_a_name_with_a_comma_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a,b"
    path.write_bytes(bytes(MIB))
    with targets.opened(Disk(str(path), ""), "default", tmp_path / "socket") as target:
        assert copying.size(target.options) == MIB


KILLED = """
import sys
from pathlib import Path
from ganeti_cloud.imagefile import temporary
from snf_image import copying, deploying
from tests.unit.snfsettings import SETTINGS, Ear, request
temporary.PLACE = Path(sys.argv[1])
ear = Ear()
asked = request(Path(sys.argv[3]), img_id="image.raw")
def told(position, total):
    print("copying", flush=True)
    import time
    time.sleep(60)
ear.teller.copied = told
site = SETTINGS._replace(folder=Path(sys.argv[2]))
deploying.carry_out(deploying.plan(asked, site, ear.teller), ear.teller, None)
"""


def test_a_kill_in_the_middle_leaves_no_process(site: Settings, disk: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    place = tmp_path / "k"  # the path of a socket has 107 bytes
    place.mkdir()
    argv = [sys.executable, "-c", KILLED, str(place), str(site.folder), str(disk)]
    with subprocess.Popen(argv, env=env, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == b"copying\n"
        assert running(place)
        killed.kill()
    end = time.monotonic() + 5
    while running(place) and time.monotonic() < end:
        time.sleep(0.02)
    assert running(place) == []


def running(place: Path) -> list[str]:
    """The processes with *place* in their command line."""
    found = []
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                words = Path("/proc", pid, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{place}/ganeti-cloud-image." in words:
                found.append(words)
    return found
