# SPDX-License-Identifier: BSD-2-Clause
"""What `verify` refuses, before there is a disk."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ganeti_cloud.errors import RequestError
from snf_image import provider, sources, tasks, wanted
from snf_image import settings as settings_module
from snf_image_helper import plan
from snf_image_helper.job import PersonalityFile
from tests.unit.faketools import FakeTools
from tests.unit.snfsettings import HASH, KEY, SETTINGS, osp, settings

SITE = settings('[images]\nhttps_allow = "https://img.example.org/os/"\n[tasks]\ncustom = "allow"\n')
Verify = Callable[..., tuple[int, str, str]]
SHA = f"sha256:{'0' * 64}"


def file(**fields: object) -> str:
    return json.dumps([{"path": "/etc/motd", "contents": "aGk=", **fields}])


def test_all_that_can_be_asked_for() -> None:
    asked = wanted.parse(
        {
            "img_id": "https://img.example.org/os/debian.qcow2",
            "img_format": "qcow2",
            "img_checksum": SHA,
            "img_passwd": 's3cret "ü"',
            "img_properties": '{"osfamily": "linux", "ROOT_PARTITION": 1, "CLOUD_INIT": true}',
            "inst_properties": '{"EXCLUDE_TASK_AddSwap": "yes", "CUSTOM_TASK": "aGk="}',
            "img_personality": file(owner=0, group="adm", mode="0640"),
            "auth_keys": f"# mine\n\n{KEY}\n",
            "os_product_key": "AAAAA-BBBBB-CCCCC-DDDDD-12345",
            "os_answer_file": "https://img.example.org/os/unattend.xml",
            "cloud_userdata": base64.b64encode(b"#cloud-config").decode(),
        },
        SITE,
    )
    assert asked == wanted.Wanted(
        source=sources.Https("https://img.example.org/os/debian.qcow2"),
        format="qcow2",
        checksum=asked.checksum,
        password='s3cret "ü"',
        password_hash="",
        image_properties={"OSFAMILY": "linux", "ROOT_PARTITION": "1", "CLOUD_INIT": "yes"},
        instance_properties={"EXCLUDE_TASK_ADDSWAP": "yes", "CUSTOM_TASK": "aGk="},
        personality=(PersonalityFile("/etc/motd", b"hi", "0", "adm", 0o640),),
        ssh_keys=(KEY,),
        product_key="AAAAA-BBBBB-CCCCC-DDDDD-12345",
        answer_file_url="https://img.example.org/os/unattend.xml",
        user_data=b"#cloud-config",
    )


def test_a_mode_is_a_number_as_json_has_it_or_octal_digits() -> None:
    modes = [
        wanted.parse({"img_id": "null", "img_personality": file(**given)}, SITE).personality[0].mode
        for given in ({}, {"mode": 420}, {"mode": "644"})
    ]
    assert modes == [0o440, 0o644, 0o644]


def test_the_site_fills_in_what_an_instance_lacks() -> None:
    site = settings('[defaults]\nimg_id = "debian.raw"\nimg_format = "raw"\n')
    assert wanted.parse({}, site).source == sources.File("debian.raw")
    assert wanted.parse({"img_id": "null", "img_format": ""}, site)[:2] == (sources.Null(), "")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("img_id", "ftp://x/y", "'ftp://x/y' is nothing that an image comes from"),
        ("img_id", "/etc/shadow", "'/etc/shadow' is no file within the folder of images"),
        ("img_id", "a/../../b", "is no file within the folder of images"),
        ("img_id", "archipelago:Not a name", "'Not a name' cannot be the name of an image"),
        ("img_id", "archipelago:debian@sha256:12", "names no version of an image"),
        ("img_id", "https://evil.example.org/os/x", "is below none of the addresses"),
        ("img_id", "null\n", "a text on one line"),
        ("img_format", "ntfsdump", "ntfsdump is not supported any more"),
        ("img_format", "iso", "'iso' is none of diskdump, raw,"),
        ("img_checksum", "md5:00", "'md5:00' is not a checksum"),
        ("img_checksum", SHA, "only a file or an https address is compared with one"),
        ("img_passwd", "a\nb", "a password is one line"),
        ("img_passwd", "x" * 256, "at most 255 characters"),
        ("img_passwd_hash", "plain", "no hash as crypt(5) makes them"),
        ("img_passwd_hash", f"{HASH}:0", "no hash as crypt(5) makes them"),
        ("img_properties", "{", "is not JSON"),
        ("img_properties", "[" * 100_000, "is not JSON"),
        ("img_properties", "[]", "is not a JSON object"),
        ("img_properties", '{"a b": 1}', "'a b' cannot be a property"),
        ("img_properties", '{"SWAP": ["x"]}', "SWAP is neither a text nor a number"),
        ("img_properties", '{"SWAP": "a", "swap": "b"}', "SWAP is there twice"),
        ("img_properties", '{"OSFAMILY": "windows-legacy"}', "write one of linux, windows"),
        ("img_properties", '{"ROOT_PARTITION": "first"}', "write the number of a partition"),
        ("img_properties", '{"USERS": "root, admin"}', "write the names of users"),
        ("img_properties", '{"PASSWD_HASHING_METHOD": "rot13"}', "write one of sha512"),
        ("img_properties", '{"SWAP": "2"}', "write PARTITION:MIB, or the letter of a disk"),
        ("img_properties", '{"CUSTOM_TASK": "#!"}', "write the program in base64"),
        ("img_properties", '{"CLOUD_INIT": "maybe"}', "CLOUD_INIT='maybe': write yes or no"),
        ("img_properties", '{"EXCLUDE_ALL_TASKS": "all"}', "EXCLUDE_ALL_TASKS='all': write yes or no"),
        ("img_properties", '{"ALLOW_MOUNTED_TASK_OVERWRITING": "yes"}', "cannot bring tasks of its own"),
        (
            "inst_properties",
            '{"EXCLUDE_TASK_Nothing": "yes"}',
            "EXCLUDE_TASK_NOTHING: no task is left out by that name",
        ),
        ("inst_properties", '{"EXCLUDE_TASK_MountImage": "yes"}', "EXCLUDE_TASK_MOUNTIMAGE: no task is left out"),
        ("inst_properties", '{"EXCLUDE_TASK_AddSwap": "may"}', "write yes or no"),
        ("img_personality", "x", "is not JSON"),
        ("img_personality", "{}", "is not a JSON list"),
        ("img_personality", '[{"path": "/x"}]', "file 1: give path and contents"),
        ("img_personality", file(size=1), "file 1: give path and contents"),
        ("img_personality", file(path="/etc/../../x"), "names no file below the root of the image"),
        ("img_personality", file(path="/"), "names no file below the root of the image"),
        ("img_personality", file(path="/a\n"), "path is not a path"),
        ("img_personality", file(contents="%"), "contents is not base64"),
        ("img_personality", file(owner="a:b"), "owner and group are names or numbers"),
        ("img_personality", file(mode="rw"), "mode is a number"),
        ("img_personality", file(mode=65536), "mode is a number"),
        ("auth_keys", "ssh-rsa AAAA", "line 1 is not an SSH public key"),
        ("auth_keys", f"{KEY}\nssh-ed25519\n", "line 2 is not an SSH public key"),
        ("auth_keys", KEY.replace("ssh-ed25519 ", "ssh-rsa "), "line 1 is not an SSH public key"),
        ("os_product_key", "aaaaa-bbbbb", "five groups of five"),
        ("os_answer_file", "file:///etc/shadow", "is no https address"),
        ("os_answer_file", "http://img.example.org/os/x", "is no https address"),
        ("cloud_userdata", "#cloud-config", "it is not base64"),
        ("config_url", "https://x/", "there is no such parameter"),
    ],
)
def test_a_value_that_is_none(name: str, value: str, problem: str) -> None:
    with pytest.raises(RequestError) as caught:
        wanted.parse({"img_id": "null", name: value}, SITE)
    assert problem in str(caught.value)
    assert "; " not in str(caught.value).replace("null; ", "")
    assert caught.value.hint == wanted.HINT


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "img_id: it says where the image comes from, and is missing"),
        ({"img_id": "null", "img_passwd": "x", "img_passwd_hash": HASH}, "img_passwd and img_passwd_hash exclude each"),
        ({"img_id": "https://img.example.org/os/x"}, "img_checksum: an image from an https address needs one"),
        (
            {"img_id": "null", "img_passwd_hash": HASH, "img_properties": '{"OSFAMILY": "Windows"}'},
            "img_passwd_hash: Windows takes no hash",
        ),
    ],
)
def test_what_does_not_go_together(given: Mapping[str, str], problem: str) -> None:
    with pytest.raises(RequestError) as caught:
        wanted.parse(given, SITE)
    assert str(caught.value).startswith(problem)


def test_a_program_in_the_image_needs_the_leave_of_the_site() -> None:
    with pytest.raises(RequestError, match="CUSTOM_TASK: this site does not let images bring programs"):
        wanted.parse({"img_id": "null", "img_properties": '{"CUSTOM_TASK": "aGk="}'}, SETTINGS)


def test_all_problems_are_told_at_once_and_no_secret() -> None:
    canary = "canary\n"
    given = {
        "img_id": "x:y",
        "img_passwd": canary,
        "img_passwd_hash": canary,
        "img_personality": canary,
        "os_product_key": canary,
        "cloud_userdata": canary,
        "img_properties": "{",
    }
    with pytest.raises(RequestError) as caught:
        wanted.parse(given, SITE)
    text = str(caught.value)
    assert [part.partition(":")[0] for part in text.split("; ")] == list(
        ("img_id", "img_passwd", "img_passwd_hash", "img_properties", "img_personality", "os_product_key")
        + ("cloud_userdata",)
    )
    assert "canary" not in text


def test_excluded_tasks() -> None:
    assert tasks.excluded({"EXCLUDE_TASK_DELETESSHKEYS": "yes", "EXCLUDE_TASK_ADDSWAP": "no"}) == ("DeleteSSHKeys",)
    assert tasks.excluded({"EXCLUDE_MOUNTED_TASKS": "yes"}) == ()


def test_the_tasks_that_can_be_left_out_are_those_of_the_helper() -> None:
    assert [step.name for step in plan.STEPS if step.excludable] == list(tasks.EXCLUDABLE)


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Verify:
    monkeypatch.setattr(settings_module, "load", lambda variant: SITE._replace(folder=tmp_path))

    def call(**given: str) -> tuple[int, str, str]:
        status = provider.main(["/usr/share/ganeti/os/snf-image/verify", "parameters"], osp(given))
        return status, *capfd.readouterr()

    return call


def test_verify_says_nothing_of_what_is_right(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "debian.raw").write_bytes(bytes(512))
    assert verify(img_id="debian.raw") == (0, "", "")
    assert verify(img_id="null") == (0, "", "")


def test_verify_looks_whether_the_file_is_there(verify: Verify, tmp_path: Path) -> None:
    status, out, err = verify(img_id="debian.raw")
    assert (status, out) == (1, "")
    assert err.startswith(
        f"error: image 'debian.raw' cannot be opened in {tmp_path} (No such file or directory)\nhint: "
    )


def test_verify_asks_the_catalogue(verify: Verify, fake_tool: FakeTools) -> None:
    version = {"sha256": "ab" * 32, "size_bytes": 512, "properties": {"OSFAMILY": "dos"}}
    asked = fake_tool("archipelago", says=json.dumps({"name": "debian", "versions": [version]}))
    status, _, err = verify(img_id="archipelago:debian")
    assert (status, asked.calls) == (1, [["image", "info", "debian", "--json"]])
    assert err.startswith("error: OSFAMILY='dos': write one of linux, ")
    assert "archipelago image set" in err
    assert verify(img_id="archipelago:debian", img_properties='{"OSFAMILY": "linux"}') == (0, "", "")


def test_verify_tells_that_the_catalogue_has_no_such_image(verify: Verify, fake_tool: FakeTools) -> None:
    fake_tool("archipelago", complains="error: there is no image 'debian'\n", status=1)
    status, _, err = verify(img_id="archipelago:debian")
    assert status == 1
    assert err.startswith("error: image debian cannot be had from the catalogue (")
