# SPDX-License-Identifier: BSD-2-Clause
"""The tasks of Windows guests on trees, and once on a real NTFS."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from lab.hives import Registry, write_registry
from lab.windows_like import looked_into, make_disk
from snf_image_helper.job import NOTHING, Job
from snf_image_helper.task import LINUX, WINDOWS, TaskError
from snf_image_helper.tasks import (
    disable_remote_desktop_connections,
    filesystem_resize_after_umount,
    install_unattend,
)
from snf_image_helper.windows import naming, passwords
from snf_image_helper.windows.account import nt_hash
from snf_image_helper.windows.answer_file import DEPLOYMENT, INTERNATIONAL, OOBE, SHELL, SPECIALIZE, AnswerFile
from snf_image_helper.windows.registry import FOLDER, close_remote_desktop
from tests.unit.sam_oracle import hashes
from tests.unit.snf_guest import Guest

FIRST = "Windows/Panther/Unattend/Unattend.xml"
SCRIPTS = "Windows/Setup/Scripts"
COMPONENT = '<component name="Microsoft-Windows-Shell-Setup" processorArchitecture="amd64">'
OWN = (
    '<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="specialize">'
    f"{COMPONENT}<RegisteredOwner>me</RegisteredOwner></component></settings></unattend>"
)
EXTEND = r'cmd.exe /c "diskpart.exe /s %SystemRoot%\Setup\Scripts\ExtendFilesystem.txt & exit 0"'
OPEN_AGAIN = (
    r'reg.exe add "HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server" '
    "/v fDenyTSConnections /t REG_DWORD /d 0 /f"
)
JOB = NOTHING._replace(
    hostname="web1.example.com",
    disks=1,
    os_family=WINDOWS,
    root_partition=1,
    password="ses&me",  # noqa: S106 - no secret
    time_zone="GTB Standard Time",
)


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    tree = tmp_path / "tree"
    (tree / FOLDER).mkdir(parents=True)
    write_registry(tree / FOLDER, Registry())
    return Guest(tree, runs=False)


def lines(guest: Guest, name: str) -> list[str]:
    """The lines of one of Windows' scripts."""
    return guest.root.read(f"{SCRIPTS}/{name}").decode().split("\r\n")


def answers_of(guest: Guest, path: str = FIRST) -> AnswerFile:
    return AnswerFile.parse(guest.root.read(path), "amd64")


def password(answers: AnswerFile, where: str) -> str:
    value = answers.get(OOBE, SHELL, f"UserAccounts/{where}/Value")
    return base64.b64decode(value or "").decode("utf-16-le")


def test_a_new_answer_file_leaves_no_question(guest: Guest) -> None:
    install_unattend.run(guest.work(JOB._replace(product_key="AAAAA-BBBBB-CCCCC-DDDDD-EEEEE")))
    answers = answers_of(guest)
    found = {
        (stage, name): answers.get(stage, component, name)
        for stage, component, name in (
            (SPECIALIZE, SHELL, "TimeZone"),
            (SPECIALIZE, SHELL, "ProductKey"),
            (SPECIALIZE, SHELL, "ComputerName"),
            (SPECIALIZE, DEPLOYMENT, "RunSynchronous/RunSynchronousCommand/Path"),
            (OOBE, INTERNATIONAL, "UILanguage"),
            (OOBE, SHELL, "OOBE/HideEULAPage"),
            (OOBE, SHELL, "OOBE/ProtectYourPC"),
        )
    }
    assert found == {
        (SPECIALIZE, "TimeZone"): "GTB Standard Time",
        (SPECIALIZE, "ProductKey"): "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
        (SPECIALIZE, "ComputerName"): None,
        (SPECIALIZE, "RunSynchronous/RunSynchronousCommand/Path"): EXTEND,
        (OOBE, "UILanguage"): "el-GR",
        (OOBE, "OOBE/HideEULAPage"): "true",
        (OOBE, "OOBE/ProtectYourPC"): "3",
    }
    assert lines(guest, "SetupComplete.cmd") == ['@call "%~dp0snf-image.cmd" & del /f /q "%~dp0snf-image.cmd"', ""]
    assert lines(guest, "snf-image.cmd") == [
        "@echo off",
        r'del /f /q "%SystemDrive%\Windows\Panther\Unattend\Unattend.xml"',
        r'del /f /q "%SystemDrive%\Windows\Setup\Scripts\ExtendFilesystem.txt"',
        "",
    ]
    assert lines(guest, "ExtendFilesystem.txt") == ["select volume C", "extend filesystem", "exit", ""]


@pytest.mark.parametrize("path", ["Windows/Panther/Unattend.xml", "Windows/System32/Sysprep/Unattend.xml", FIRST])
def test_the_images_own_answer_file_is_kept(guest: Guest, path: str) -> None:
    guest.put(path, OWN)
    guest.put("Unattend.xml", "not looked at")
    install_unattend.run(guest.work(JOB))
    answers = answers_of(guest)
    assert answers.get(SPECIALIZE, SHELL, "RegisteredOwner") == "me"
    assert answers.get(SPECIALIZE, SHELL, "TimeZone") is None
    assert answers.get(SPECIALIZE, DEPLOYMENT, "RunSynchronous/RunSynchronousCommand/Path") == EXTEND


def test_the_images_own_answer_file_can_be_passed_over(guest: Guest) -> None:
    guest.put("Windows/Panther/Unattend.xml", OWN)
    install_unattend.run(guest.work(JOB._replace(properties={"IGNORE_UNATTEND": "yes"})))
    assert answers_of(guest).get(SPECIALIZE, SHELL, "RegisteredOwner") is None


def test_a_given_answer_file_goes_before_the_images_own(guest: Guest) -> None:
    guest.put("Windows/Panther/Unattend.xml", OWN)
    install_unattend.run(guest.work(JOB._replace(answer_file=OWN.replace(">me<", ">you<"))))
    assert answers_of(guest).get(SPECIALIZE, SHELL, "RegisteredOwner") == "you"


def test_a_damaged_answer_file_of_the_image_is_no_reason_to_take_another(guest: Guest) -> None:
    guest.put("Windows/Panther/Unattend.xml", "<unattend")
    with pytest.raises(TaskError, match="the answer file cannot be read: unclosed token"):
        install_unattend.run(guest.work(JOB))


def test_the_file_is_where_the_registry_has_windows_look(guest: Guest) -> None:
    write_registry(guest.folder / FOLDER, Registry(answer_file=r"c:\windows\panther\unattend.xml"))
    guest.put("Windows/Panther/Unattend.xml", OWN)
    install_unattend.run(guest.work(JOB))
    naming.assign(guest.work(JOB))
    assert answers_of(guest, "Windows/Panther/Unattend.xml").get(SPECIALIZE, SHELL, "ComputerName") == "web1"
    assert not (guest.folder / FIRST).exists()
    assert lines(guest, "snf-image.cmd")[1] == r'del /f /q "%SystemDrive%\Windows\Panther\Unattend.xml"'


def test_a_registry_that_has_windows_look_elsewhere(guest: Guest) -> None:
    write_registry(guest.folder / FOLDER, Registry(answer_file=r"D:\own.xml"))
    with pytest.raises(TaskError, match=r"delete the value UnattendFile of HKLM\\SYSTEM\\Setup in the image"):
        install_unattend.run(guest.work(JOB))


@pytest.mark.parametrize("state", ["IMAGE_STATE_COMPLETE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT", ""])
def test_a_windows_that_would_not_read_it(guest: Guest, state: str) -> None:
    write_registry(guest.folder / FOLDER, Registry(state=state))
    told = state or "unknown"
    with pytest.raises(TaskError, match=f"its state is {told}. Run sysprep /generalize /oobe /shutdown in the image"):
        install_unattend.run(guest.work(JOB))
    assert not (guest.folder / SCRIPTS).exists()


def test_a_windows_that_is_too_old(guest: Guest) -> None:
    write_registry(guest.folder / FOLDER, Registry(version=5))
    with pytest.raises(TaskError, match="older than Windows Vista"):
        install_unattend.run(guest.work(JOB))


@pytest.mark.parametrize(
    "job",
    [
        JOB._replace(excluded=("FilesystemResizeMounted",)),
        JOB._replace(properties={"EXCLUDE_FILESYSTEMRESIZE_TASKS": "yes"}),
        JOB._replace(properties={"OFFLINE_NTFSRESIZE": "yes"}),
    ],
    ids=["excluded", "all excluded", "offline"],
)
def test_windows_does_not_grow_what_is_not_to_grow(guest: Guest, job: Job) -> None:
    install_unattend.run(guest.work(job))
    assert answers_of(guest).get(SPECIALIZE, DEPLOYMENT, "RunSynchronous/RunSynchronousCommand/Path") is None
    assert not (guest.folder / SCRIPTS / "ExtendFilesystem.txt").exists()


def test_the_images_own_script_goes_on_and_is_called_once(guest: Guest) -> None:
    guest.put(f"{SCRIPTS}/SetupComplete.cmd", "own.exe\r\nexit\r\n")
    for _ in range(2):
        install_unattend.run(guest.work(JOB))
    call = '@call "%~dp0snf-image.cmd" & del /f /q "%~dp0snf-image.cmd"'
    assert lines(guest, "SetupComplete.cmd") == [call, "own.exe", "exit", ""]


def test_the_name_and_the_password_are_in_the_answer_file_alone(guest: Guest) -> None:
    install_unattend.run(guest.work(JOB))
    naming.assign(guest.work(JOB._replace(hostname="a-rather-long-host-name.example.com")))
    passwords.change(guest.work(JOB))
    assert answers_of(guest).get(SPECIALIZE, SHELL, "ComputerName") == "a-rather-long-h"
    assert password(answers_of(guest), "AdministratorPassword") == "ses&meAdministratorPassword"
    assert guest.warnings == ["the computer name is a-rather-long-h: Windows takes at most 15 letters, digits and '-'"]
    assert [path for path in guest.folder.rglob("*") if path.is_file() and b"ses&" in path.read_bytes()] == []


def test_users_by_name(guest: Guest) -> None:
    registry = Registry(users=(("Διαχειριστής", 500), ("alice", 1001)))
    write_registry(guest.folder / FOLDER, registry)
    own = f'<settings pass="oobeSystem">{COMPONENT}<UserAccounts><LocalAccounts><LocalAccount><Name>Bob</Name>'
    own += "</LocalAccount></LocalAccounts></UserAccounts></component></settings></unattend>"
    guest.put("Unattend.xml", OWN.replace("</unattend>", own))
    job = JOB._replace(users=("διαχειριστής", "Bob"))
    install_unattend.run(guest.work(job))
    passwords.change(guest.work(job))
    assert password(answers_of(guest), "AdministratorPassword") == "ses&meAdministratorPassword"
    assert password(answers_of(guest), "LocalAccounts/LocalAccount/Password") == "ses&mePassword"
    passwords.change(guest.work(JOB._replace(users=("Alice",))))
    assert answers_of(guest).makes_user("alice")


def test_a_user_that_is_not_there(guest: Guest) -> None:
    install_unattend.run(guest.work(JOB))
    before = (guest.folder / FIRST).read_bytes()
    with pytest.raises(TaskError, match="the guest has no user 'ali': name those of administrator, alice, guest in"):
        passwords.change(guest.work(JOB._replace(users=("Administrator", "ali"))))
    assert (guest.folder / FIRST).read_bytes() == before


@pytest.mark.host_tools
def test_a_user_who_is_there_has_the_password_at_once(guest: Guest) -> None:
    """The answer file alone would do for those that Windows makes or that are built in."""
    job = JOB._replace(users=("Alice",))
    install_unattend.run(guest.work(job))
    passwords.change(guest.work(job))
    assert answers_of(guest).makes_user("alice")
    assert hashes(guest.folder / FOLDER) == {
        "Administrator": (500, "", ""),
        "Guest": (501, "", ""),
        "alice": (1001, "", nt_hash("ses&me").hex()),
    }


@pytest.mark.host_tools
@pytest.mark.parametrize(("users", "name"), [((), "Διαχειριστής"), (("alice",), "alice")])
def test_a_windows_that_is_not_set_up_anew(guest: Guest, users: tuple[str, ...], name: str) -> None:
    there = (("Διαχειριστής", 500), ("alice", 1001))
    write_registry(guest.folder / FOLDER, Registry(state="IMAGE_STATE_COMPLETE", users=there))
    passwords.change(guest.work(JOB._replace(users=users)))
    found = {each: secret for each, (_, _, secret) in hashes(guest.folder / FOLDER).items()}
    assert found == {each: nt_hash("ses&me").hex() if each == name else "" for each, _ in there}
    assert not (guest.folder / FIRST).exists()


def test_a_user_that_is_not_there_and_will_not_be_made(guest: Guest) -> None:
    write_registry(guest.folder / FOLDER, Registry(state="IMAGE_STATE_COMPLETE"))
    before = (guest.folder / FOLDER / "SAM").read_bytes()
    with pytest.raises(TaskError, match="the guest has no user 'bob': name those of administrator, alice, guest in"):
        passwords.change(guest.work(JOB._replace(users=("alice", "bob"))))
    assert (guest.folder / FOLDER / "SAM").read_bytes() == before


def test_remote_desktop_is_not_closed_when_nothing_opens_it_again(guest: Guest) -> None:
    with pytest.raises(TaskError, match="nothing would open Remote Desktop again, as InstallUnattend was left out"):
        disable_remote_desktop_connections.run(guest.work(JOB))
    assert close_remote_desktop(guest.root) is True


def test_hashes_are_refused_and_keys_are_left_out(guest: Guest) -> None:
    install_unattend.run(guest.work(JOB))
    with pytest.raises(TaskError, match="Windows takes no hash of a password: give img_passwd in place of"):
        passwords.change(guest.work(JOB._replace(password="", password_hash="$6$x", ssh_keys=("ssh-ed25519 A",))))
    assert guest.warnings == ["SSH keys are not supported for Windows: they are left out"]


def test_no_password(guest: Guest) -> None:
    passwords.change(guest.work(JOB._replace(password="")))
    assert guest.warnings == ["no password is given: Windows will ask for one, or keep that of the image"]


def test_a_name_without_an_answer_file(guest: Guest) -> None:
    with pytest.raises(
        TaskError, match="there is no answer file to write into, as InstallUnattend was left out: leave"
    ):
        naming.assign(guest.work(JOB))


def test_remote_desktop_is_opened_again_by_windows(guest: Guest) -> None:
    install_unattend.run(guest.work(JOB))
    disable_remote_desktop_connections.run(guest.work(JOB))
    assert lines(guest, "snf-image.cmd")[-2:] == [OPEN_AGAIN, ""]
    assert close_remote_desktop(guest.root) is False


def test_remote_desktop_that_was_closed_stays_closed(guest: Guest) -> None:
    write_registry(guest.folder / FOLDER, Registry(remote_desktop=False))
    install_unattend.run(guest.work(JOB))
    disable_remote_desktop_connections.run(guest.work(JOB))
    assert OPEN_AGAIN not in lines(guest, "snf-image.cmd")


@pytest.mark.parametrize(
    ("properties", "ran"),
    [
        ({}, []),
        ({"OFFLINE_NTFSRESIZE": "yes"}, [(["ntfsresize", "--no-progress-bar", "/dev/vdb2"], b"y\n")]),
        (
            {"OFFLINE_NTFSRESIZE": "yes", "OFFLINE_NTFSRESIZE_NOCHECK": "yes"},
            [
                (["ntfsresize", "--no-progress-bar", "--force", "--force", "/dev/vdb2"], b"y\n"),
                (["ntfsfix", "--clear-dirty", "/dev/vdb2"], b""),
            ],
        ),
        ({"OFFLINE_NTFSRESIZE_NOCHECK": "yes"}, []),
    ],
)
def test_growing_here(guest: Guest, properties: dict[str, str], ran: list[tuple[list[str], bytes]]) -> None:
    work = guest.work(JOB._replace(properties=properties))
    work.family, work.filesystem, work.root_device = WINDOWS, "ntfs", "/dev/vdb2"
    filesystem_resize_after_umount.run(work)
    assert guest.ran == ran


def test_other_guests_are_left_alone(guest: Guest) -> None:
    work = guest.work(JOB._replace(os_family=LINUX, properties={"OFFLINE_NTFSRESIZE": "yes"}))
    for task in (install_unattend, disable_remote_desktop_connections, filesystem_resize_after_umount):
        task.run(work)
    assert (guest.ran, (guest.folder / SCRIPTS).exists()) == ([], False)


@pytest.mark.host_tools
@pytest.mark.parametrize("table", ["gpt", "dos"])
def test_on_ntfs(tmp_path: Path, table: str) -> None:
    """Names of the guest in any case of their letters, and hives that are read and written through ntfs-3g."""
    disk = tmp_path / "disk.raw"
    make_disk(disk, table=table, answers=OWN.encode())
    with looked_into(disk) as tree:
        guest = Guest(tree, runs=False)
        install_unattend.run(guest.work(JOB))
        naming.assign(guest.work(JOB))
        passwords.change(guest.work(JOB._replace(users=("ALICE",))))
        disable_remote_desktop_connections.run(guest.work(JOB))
        answers = answers_of(guest, "windows/panther/unattend/unattend.xml")
        assert answers.get(SPECIALIZE, SHELL, "ComputerName") == "web1"
        assert answers.get(SPECIALIZE, SHELL, "RegisteredOwner") == "me"
        assert password(answers, "LocalAccounts/LocalAccount/Password") == "ses&mePassword"
        assert close_remote_desktop(guest.root) is False
        assert lines(guest, "snf-image.cmd")[-2] == OPEN_AGAIN
