# SPDX-License-Identifier: BSD-2-Clause
"""Windows instances, as far as that can be seen without Windows: what it finds when it starts first."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hivex
import pytest

from ganeti_cloud.process import run
from lab.accounts import Form
from lab.hives import Registry
from lab.lab import Lab
from lab.windows_like import CONFIG, looked_into, make_disk
from snf_image_helper.windows.account import nt_hash
from snf_image_helper.windows.answer_file import DEPLOYMENT, OOBE, SHELL, SPECIALIZE, AnswerFile
from tests.lab.support import Result, call
from tests.unit import sam_oracle

pytestmark = pytest.mark.lab

in_the_helper = pytest.mark.one_release(
    "bookworm", "It is done in the helper machine, which is the same on both; the first test deploys one with either."
)

IMAGES = "/var/lib/snf-image/images"
INSTANCE = "inst1.lab.test"
PASSWORD = "pa'ss&w%o\"rd"  # noqa: S105 - what a script or XML would stumble over
JOB_S = 400.0
OPEN_AGAIN = "/v fDenyTSConnections /t REG_DWORD /d 0 /f"
OWN = (
    b'<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="specialize">'
    b'<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64">'
    b"<RegisteredOwner>me</RegisteredOwner></component></settings></unattend>"
)


@pytest.fixture
def image(lab: Lab) -> Iterator[Path]:
    """Where an image is made that the nodes' folder of images has as windows.raw once it is published."""
    folder = lab.places.shared / "windows"
    folder.mkdir(exist_ok=True)
    yield folder / "windows.raw"
    shutil.rmtree(folder)


@contextmanager
def instance(lab: Lab, properties: dict[str, str]) -> Iterator[tuple[Result, Path]]:
    """An instance made of the image, not started: how Ganeti's job ended, and the folder of its disks."""
    node = lab.node(1)
    node.run(["install", "-D", "/srv/shared/windows/windows.raw", f"{IMAGES}/windows.raw"], timeout_s=60)
    shown = json.dumps(properties).replace(",", "\\,")
    argv = ["gnt-instance", "add", "-t", "sharedfile", "--disk", "0:size=128M", "-n", node.hostname, "--no-start"]
    argv += ["-o", "snf-image+default", "-O", f"img_id=windows.raw,img_properties={shown}"]
    argv += ["--os-parameters-secret", f"img_passwd={PASSWORD}", "--no-ip-check", "--no-name-check", INSTANCE]
    try:
        yield call(node, argv, timeout_s=JOB_S), lab.places.shared / "disks" / INSTANCE
    finally:
        call(node, ["gnt-instance", "remove", "--force", INSTANCE])
        node.run(["rm", f"{IMAGES}/windows.raw"], timeout_s=30)


def password(answers: AnswerFile) -> str:
    value = answers.get(OOBE, SHELL, "UserAccounts/AdministratorPassword/Value")
    return base64.b64decode(value or "").decode("utf-16-le")


def remote_desktop_closed(hive: Path, folder: Path) -> bool:
    copy = folder / "SYSTEM"
    shutil.copyfile(hive, copy)
    opened = hivex.Hivex(str(copy))
    node: int | None = opened.root()
    for key in ("ControlSet001", "Control", "Terminal Server"):
        assert node
        node = opened.node_get_child(node, key)
    assert node
    return opened.value_dword(opened.node_get_value(node, "fDenyTSConnections")) == 1


def test_windows_is_prepared_for_its_first_start(lab: Lab, image: Path, tmp_path: Path) -> None:
    make_disk(image, answers=OWN)
    with instance(lab, {}) as (result, disks):
        assert result.status == 0, result
        [disk] = disks.iterdir()
        with looked_into(disk) as tree:
            answers = AnswerFile.parse((tree / "Windows/Panther/Unattend/Unattend.xml").read_bytes(), "amd64")
            assert answers.get(SPECIALIZE, SHELL, "ComputerName") == "inst1"
            assert answers.get(SPECIALIZE, SHELL, "RegisteredOwner") == "me"
            assert password(answers) == f"{PASSWORD}AdministratorPassword"
            command = answers.get(SPECIALIZE, DEPLOYMENT, "RunSynchronous/RunSynchronousCommand/Path")
            assert command is not None and "ExtendFilesystem" in command
            assert remote_desktop_closed(tree / "Windows/System32/config/SYSTEM", tmp_path)
            script = (tree / "Windows/Setup/Scripts/snf-image.cmd").read_text()
            assert OPEN_AGAIN in script
            assert "pa'ss" not in script
            # The partition has grown, the file system is left for that command.
            assert shutil.disk_usage(tree).total < 64 << 20
        table = json.loads(run(["sfdisk", "--json", str(disk)], timeout_s=30))["partitiontable"]
        assert table["partitions"][0]["size"] * 512 > 120 << 20


@in_the_helper
def test_ntfs_grows_here_when_that_is_wished(lab: Lab, image: Path) -> None:
    make_disk(image, table="dos")
    with instance(lab, {"OFFLINE_NTFSRESIZE": "yes", "OFFLINE_NTFSRESIZE_NOCHECK": "yes"}) as (result, disks):
        assert result.status == 0, result
        [disk] = disks.iterdir()
        with looked_into(disk) as tree:
            answers = AnswerFile.parse((tree / "Windows/Panther/Unattend/Unattend.xml").read_bytes(), "amd64")
            assert answers.get(SPECIALIZE, DEPLOYMENT, "RunSynchronous/RunSynchronousCommand/Path") is None
            assert shutil.disk_usage(tree).total > 120 << 20


@in_the_helper
def test_a_windows_that_was_not_generalized_is_refused(lab: Lab, image: Path) -> None:
    make_disk(image, registry=Registry(state="IMAGE_STATE_COMPLETE"))
    with instance(lab, {}) as (result, _):
        assert result.status != 0
        assert "InstallUnattend: Windows would not read an answer file: its state is IMAGE_STATE_COMPLETE" in (
            result.stdout + result.stderr
        )


@in_the_helper
@pytest.mark.parametrize("form", Form)
def test_a_windows_that_was_not_generalized_gets_a_password_alone(lab: Lab, image: Path, form: Form) -> None:
    registry = Registry(state="IMAGE_STATE_COMPLETE", form=form, passwords={"alice": "before", "Guest": "guest"})
    make_disk(image, registry=registry)
    left_out = ("InstallUnattend", "AssignHostname", "ConfigureNetwork", "DisableRemoteDesktopConnections")
    properties = {f"EXCLUDE_TASK_{name}": "yes" for name in left_out}
    with instance(lab, {**properties, "USERS": "Administrator Alice"}) as (result, disks):
        assert result.status == 0, result
        [disk] = disks.iterdir()
        with looked_into(disk) as tree:
            found = {name: secret for name, (_, _, secret) in sam_oracle.hashes(tree / CONFIG).items()}
            assert found == {
                "Administrator": nt_hash(PASSWORD).hex(),
                "alice": nt_hash(PASSWORD).hex(),
                "Guest": nt_hash("guest").hex(),
            }
            assert not (tree / "Windows/Panther/Unattend").exists()
