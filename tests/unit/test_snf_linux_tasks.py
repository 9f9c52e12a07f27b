# SPDX-License-Identifier: BSD-2-Clause
"""What is done in the tree of a Linux guest besides users and network."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from snf_image_helper import cloud_init, host_keys, hosts, scratch
from snf_image_helper.job import PersonalityFile
from snf_image_helper.sshd import SshdSettings
from snf_image_helper.task import WINDOWS, TaskError
from snf_image_helper.tasks import (
    assign_hostname,
    change_machine_id,
    delete_ssh_keys,
    enforce_personality,
    initialize_datasource,
    run_custom_task,
    selinux_autorelabel,
)
from tests.unit.snf_guest import PLAIN_JOB, Guest, nic

SEED = "/var/lib/cloud/seed/nocloud"


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    guest = Guest(tmp_path / "guest")
    guest.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ndebian:x:1000:1000::/home/debian:/bin/bash\n")
    guest.put("/etc/group", "root:x:0:\nadm:x:4:\ndebian:x:1000:\n")
    return guest


@pytest.fixture(autouse=True)
def scratch_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "run"
    place.mkdir()
    monkeypatch.setattr(scratch, "PLACE", str(place))
    return place


# AssignHostname


def test_the_name_is_given(guest: Guest) -> None:
    guest.put("/etc/hosts", "127.0.0.1\tlocalhost\n::1 localhost\n")
    assign_hostname.run(guest.work())
    assert guest.text("/etc/hostname") == "vm1.example.com\n"
    assert guest.text("/etc/hosts") == "127.0.0.1\tlocalhost\n127.0.1.1\tvm1.example.com vm1\n::1 localhost\n"


def test_the_name_is_given_where_older_systems_keep_it(guest: Guest) -> None:
    guest.put("/etc/conf.d/hostname", '# the name\nhostname="old"\n')
    guest.put("/etc/sysconfig/network", "NETWORKING=yes\nHOSTNAME=old\n")
    guest.put("/etc/HOSTNAME", "old\n")
    assign_hostname.run(guest.work())
    assert guest.text("/etc/conf.d/hostname") == '# the name\nhostname="vm1.example.com"\n'
    assert guest.text("/etc/sysconfig/network") == "NETWORKING=yes\nHOSTNAME=vm1.example.com\n"
    assert guest.text("/etc/HOSTNAME") == "vm1.example.com\n"


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("127.0.1.1 old.example.com old\n10.0.0.1 x\n127.0.1.1 older\n", "127.0.1.1\tvm1\n10.0.0.1 x\n"),
        ("# only this", "# only this\n127.0.1.1\tvm1\n"),
        ("", "127.0.1.1\tvm1\n"),
    ],
)
def test_the_own_name_is_among_the_hosts(text: str, new: str) -> None:
    assert hosts.with_own_name(text, "vm1") == new
    assert hosts.with_own_name(new, "vm1") == new


def test_a_missing_hosts_file_is_made(guest: Guest) -> None:
    assign_hostname.run(guest.work())
    assert guest.text("/etc/hosts").startswith("127.0.0.1\tlocalhost\n127.0.1.1\tvm1.example.com vm1\n::1\t")


@pytest.mark.parametrize("name", ["", "-x", "a b", "$(reboot)", "a\nb", "a..b", "x" * 300, 'x"'])
def test_what_is_no_name_is_refused(guest: Guest, name: str) -> None:
    with pytest.raises(TaskError, match="is no name for a host$"):
        assign_hostname.run(guest.work(PLAIN_JOB._replace(hostname=name)))


def test_cloud_init_is_told_the_name(guest: Guest) -> None:
    work = guest.work(cloud_init=True)
    assign_hostname.run(work)
    assert work.meta_data == {"local-hostname": "vm1.example.com"}


# ChangeMachineId


def test_the_identity_is_emptied(guest: Guest) -> None:
    guest.put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n").chmod(0o444)
    guest.put("/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n")
    change_machine_id.run(guest.work())
    assert (guest.text("/etc/machine-id"), guest.belongs("/etc/machine-id")) == ("", (0o444, 0, 0))
    assert guest.root.link_text("/var/lib/dbus/machine-id") == "/etc/machine-id"


def test_no_identity_is_made_where_there_was_none(guest: Guest) -> None:
    """systemd would take an empty one for that of a machine which was set up before."""
    guest.put("/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n")
    change_machine_id.run(guest.work())
    assert (guest.root.exists("/etc/machine-id"), guest.root.exists("/var/lib/dbus/machine-id")) == (False, False)


def test_an_identity_that_is_a_link_becomes_a_file(guest: Guest) -> None:
    guest.put("/var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n")
    guest.link("/etc/machine-id", "/var/lib/dbus/machine-id")
    change_machine_id.run(guest.work())
    assert (guest.root.link_text("/etc/machine-id"), guest.text("/etc/machine-id")) == (None, "")
    assert guest.root.link_text("/var/lib/dbus/machine-id") == "/etc/machine-id"


# DeleteSSHKeys


def fingerprint(path: Path) -> list[str]:
    done = subprocess.run(["ssh-keygen", "-l", "-f", path], check=True, capture_output=True, text=True, timeout=20)
    return done.stdout.split()


@pytest.mark.host_tools
def test_host_keys_are_new(guest: Guest, scratch_place: Path) -> None:
    guest.put("/usr/sbin/sshd")
    for name in ("rsa_key", "rsa_key.pub", "dsa_key", "ecdsa_key", "ed25519_key", "ed25519_key-cert.pub"):
        guest.put(f"/etc/ssh/ssh_host_{name}", "old")
    guest.put("/etc/ssh/moduli")
    delete_ssh_keys.run(guest.work())
    made = [f"ssh_host_{kind}_key{end}" for kind in ("ecdsa", "ed25519") for end in ("", ".pub")]
    assert guest.root.names("/etc/ssh") == ["moduli", *made]
    for kind, word in (("ecdsa", "(ECDSA)"), ("ed25519", "(ED25519)")):
        private = f"/etc/ssh/ssh_host_{kind}_key"
        public = fingerprint(Path(f"{guest.folder}{private}.pub"))
        assert (public, public[-2:]) == (fingerprint(Path(f"{guest.folder}{private}")), ["root@vm1.example.com", word])
        assert (guest.belongs(private), guest.belongs(f"{private}.pub")) == ((0o600, 0, 0), (0o644, 0, 0))
    assert list(scratch_place.iterdir()) == []


def test_keys_that_sshd_is_told_of_are_found(guest: Guest) -> None:
    guest.put("/srv/key")
    guest.put("/srv/key.pub")
    guest.link("/etc/ssh/ssh_host_rsa_key", "/nowhere")
    found = host_keys.found(guest.root, SshdSettings((), ("/srv/key", "/srv/none")))
    assert found == ["/etc/ssh/ssh_host_rsa_key", "/srv/key", "/srv/key.pub"]


def test_sshds_own_names_are_the_usual() -> None:
    assert host_keys.to_make((), SshdSettings((), ())) == {
        "ed25519": "/etc/ssh/ssh_host_ed25519_key",
        "ecdsa": "/etc/ssh/ssh_host_ecdsa_key",
    }


def test_a_key_of_another_name_is_made_where_sshd_looks_for_it() -> None:
    assert host_keys.to_make((), SshdSettings((), ("/srv/key", "/srv/other"))) == {"ed25519": "/srv/key"}


@pytest.mark.parametrize(
    ("there", "told", "types"),
    [
        ((), (), ["ed25519", "ecdsa"]),
        (("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key"), (), ["ed25519"]),
        (("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_dsa_key"), (), ["rsa"]),
        (("/etc/ssh/ssh_host_ecdsa_key",), ("/x/ssh_host_rsa_key",), ["rsa"]),
        (("/etc/ssh/ssh_host_dsa_key",), (), ["ed25519", "ecdsa"]),
    ],
)
def test_types_of_new_keys(there: Sequence[str], told: tuple[str, ...], types: list[str]) -> None:
    assert list(host_keys.to_make(there, SshdSettings((), told))) == types


def test_no_keys_are_made_for_a_guest_without_sshd(guest: Guest) -> None:
    delete_ssh_keys.run(guest.work())
    assert not guest.root.exists("/etc/ssh")


def test_cloud_init_makes_the_keys(guest: Guest) -> None:
    guest.put("/usr/sbin/sshd")
    guest.put("/etc/ssh/ssh_host_rsa_key", "old")
    work = guest.work(cloud_init=True)
    delete_ssh_keys.run(work)
    assert (work.cloud_config, guest.root.names("/etc/ssh")) == ({"ssh_deletekeys": True}, [])


# SELinuxAutorelabel


@pytest.mark.parametrize(
    ("text", "marked"),
    [("SELINUX=enforcing\n", True), (" SELINUX = Permissive\n", True), ("SELINUX=disabled\n", False), ("#\n", False)],
)
def test_selinux_labels_anew(guest: Guest, text: str, marked: bool) -> None:
    guest.put("/etc/selinux/config", f"SELINUXTYPE=targeted\n{text}")
    selinux_autorelabel.run(guest.work())
    assert guest.root.exists("/.autorelabel") == marked


def test_a_guest_without_selinux_gets_no_mark(guest: Guest) -> None:
    selinux_autorelabel.run(guest.work())
    assert not guest.root.exists("/.autorelabel")


# EnforcePersonality


def put(guest: Guest, file: PersonalityFile, **more: object) -> dict[str, object]:
    job = PLAIN_JOB._replace(personality=(file,), os_family=str(more.get("family", "linux")))
    work = guest.work(job, cloud_init=bool(more.get("cloud_init")))
    enforce_personality.run(work)
    return work.cloud_config


def test_files_have_owner_group_and_mode(guest: Guest) -> None:
    put(guest, PersonalityFile("/srv/new/deep/x", b"\0\xff", "debian", "4", 0o440))
    assert guest.root.read("/srv/new/deep/x") == b"\0\xff"
    assert guest.belongs("/srv/new/deep/x") == (0o440, 1000, 4)
    assert (guest.belongs("/srv/new"), guest.belongs("/srv/new/deep")) == ((0o750, 1000, 4), (0o750, 1000, 4))


def test_a_file_that_is_there_is_replaced(guest: Guest) -> None:
    guest.put("/etc/motd", "old").chmod(0o666)
    put(guest, PersonalityFile("/etc/motd", b"new", "root", "adm", 0o640))
    assert (guest.text("/etc/motd"), guest.belongs("/etc/motd")) == ("new", (0o640, 0, 4))


@pytest.mark.parametrize("path", ["/etc/../../x", "../x", "/srv/", "/"])
def test_a_path_must_lead_straight_to_a_file(guest: Guest, path: str) -> None:
    with pytest.raises(TaskError, match="the path must lead straight to a file$"):
        put(guest, PersonalityFile(path, b"", "root", "root", 0o440))


def test_a_link_out_stays_within(guest: Guest, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    guest.link("/srv", str(tmp_path / "outside"))
    put(guest, PersonalityFile("/srv/x", b"new", "root", "root", 0o440))
    assert list((tmp_path / "outside").iterdir()) == []
    assert guest.text(f"{tmp_path}/outside/x") == "new"


@pytest.mark.parametrize(
    ("owner", "group", "reason"),
    [("me", "root", "the image has no user 'me'"), ("0", "us", "the image has no group 'us'")],
)
def test_owner_and_group_must_exist(guest: Guest, owner: str, group: str, reason: str) -> None:
    with pytest.raises(TaskError, match=f"^personality file '/srv/x': {reason}$"):
        put(guest, PersonalityFile("/srv/x", b"", owner, group, 0o440))
    assert not guest.root.exists("/srv")


def test_a_user_that_cloud_init_makes_gets_the_file_from_it(guest: Guest) -> None:
    told = put(guest, PersonalityFile("/srv/x", b"\xff", "ubuntu", "adm", 0o40), cloud_init=True)
    assert told == {
        "write_files": [
            {
                "path": "/srv/x",
                "content": base64.b64encode(b"\xff").decode(),
                "encoding": "b64",
                "owner": "ubuntu:adm",
                "permissions": "0040",
                "defer": True,
            }
        ]
    }


def test_windows_knows_no_owner(guest: Guest) -> None:
    put(guest, PersonalityFile("/Users/x", b"new", "nobody", "nobody", 0o440), family=WINDOWS)
    assert (guest.text("/Users/x"), guest.belongs("/Users/x")) == ("new", (0o644, 0, 0))


# cloud-init


@pytest.fixture
def cloud(guest: Guest) -> Guest:
    guest.put("/etc/cloud/cloud.cfg")
    guest.put("/usr/bin/cloud-init")
    return guest


def test_cloud_init_is_seen(cloud: Guest) -> None:
    assert cloud_init.wanted(cloud.root, {})
    assert not cloud_init.wanted(cloud.root, {"CLOUD_INIT": "no"})
    assert cloud_init.wanted(cloud.root, {"CLOUD_INIT": "yes"})


@pytest.mark.parametrize("unit", ["cloud-init.service", "cloud-init-local.service", "cloud-init.target"])
def test_a_cloud_init_that_is_masked_is_not_wanted(cloud: Guest, unit: str) -> None:
    cloud.link(f"/etc/systemd/system/{unit}", "/dev/null")
    assert not cloud_init.wanted(cloud.root, {})


def test_a_cloud_init_that_is_switched_off_is_not_wanted(cloud: Guest) -> None:
    cloud.put("/etc/cloud/cloud-init.disabled")
    assert not cloud_init.wanted(cloud.root, {})
    with pytest.raises(TaskError, match="^CLOUD_INIT=yes, but the image has no cloud-init that is switched on$"):
        cloud_init.wanted(cloud.root, {"CLOUD_INIT": "yes"})


def test_an_image_without_cloud_init_does_without(guest: Guest) -> None:
    assert not cloud_init.wanted(guest.root, {"CLOUD_INIT": ""})
    with pytest.raises(TaskError, match="^CLOUD_INIT='maybe': write yes or no$"):
        cloud_init.wanted(guest.root, {"CLOUD_INIT": "maybe"})


def seeded(guest: Guest, user_data: bytes) -> dict[str, object]:
    work = guest.work(PLAIN_JOB._replace(user_data=user_data), cloud_init=True)
    work.meta_data["local-hostname"] = "vm1"
    work.cloud_config["chpasswd"] = {"expire": False}
    initialize_datasource.run(work)
    texts = {name: guest.text(f"{SEED}/{name}") for name in guest.root.names(SEED)}
    assert all(guest.belongs(f"{SEED}/{name}") == (0o600, 0, 0) for name in texts)
    assert guest.belongs(SEED) == (0o700, 0, 0)
    heads = {name: "#cloud-config" if text.startswith("#cloud-config\n") else "" for name, text in texts.items()}
    return {name: (head, json.loads(texts[name].removeprefix(f"{head}\n"))) for name, head in heads.items()}


def test_the_seed_holds_what_the_tasks_ask_for(cloud: Guest) -> None:
    first = seeded(cloud, b"")
    meta = first.pop("meta-data")
    assert isinstance(meta, tuple)
    assert meta[1] | {"instance-id": ""} == {"local-hostname": "vm1", "instance-id": ""}
    assert first == {
        "user-data": ("#cloud-config", {"chpasswd": {"expire": False}}),
        "vendor-data": ("#cloud-config", {}),
    }
    again = seeded(cloud, b"")["meta-data"]
    assert isinstance(again, tuple)
    assert again[1]["instance-id"] != meta[1]["instance-id"]


def test_the_seed_is_the_only_source_and_ds_identify_can_read_so(cloud: Guest) -> None:
    seeded(cloud, b"")
    assert cloud.text("/etc/cloud/cloud.cfg.d/99_snf_image.cfg") == "datasource_list: [ NoCloud, None ]\n"


def test_the_owner_s_user_data_go_first(cloud: Guest) -> None:
    seed = seeded(cloud, b'#cloud-config\n{"packages": ["vim"]}\n')
    assert seed["user-data"] == ("#cloud-config", {"packages": ["vim"]})
    assert seed["vendor-data"] == ("#cloud-config", {"chpasswd": {"expire": False}})


def test_user_data_that_nobody_reads_are_told_of(guest: Guest) -> None:
    initialize_datasource.run(guest.work(PLAIN_JOB._replace(user_data=b"#!/bin/sh\n")))
    assert len(guest.warnings) == 1
    assert not guest.root.exists("/var/lib/cloud")


# RunCustomTask


def custom(guest: Guest, script: str, **changed: object) -> None:
    task = base64.b64encode(script.encode()).decode()
    job = PLAIN_JOB._replace(custom_task=task, **changed)  # type: ignore[arg-type]  # by the names of its fields
    run_custom_task.run(guest.work(job))


@pytest.mark.host_tools
def test_a_custom_task_knows_the_deployment(guest: Guest, tmp_path: Path, scratch_place: Path) -> None:
    custom(
        guest,
        f"#!/bin/sh -e\n[ $# = 0 ]\nenv > {tmp_path}/seen\ntr '\\0' ' ' < /proc/$PPID/cmdline > {tmp_path}/parent\n",
        password='it\'s "a" $HOME\nsecret',
        properties={"OSFAMILY": "linux", "odd name": "x"},
        nics=(nic(),),
    )
    seen = (tmp_path / "seen").read_text()
    assert 'SNF_IMAGE_PASSWD=it\'s "a" $HOME\nsecret\n' in seen
    for line in (
        f"SNF_IMAGE_TARGET={guest.folder}",
        "SNF_IMAGE_DEV=/dev/null",
        "SNF_IMAGE_DEV_0=/dev/null",
        "SNF_IMAGE_DEV_COUNT=1",
        "SNF_IMAGE_HOSTNAME=vm1.example.com",
        "SNF_IMAGE_PROPERTY_OSFAMILY=linux",
        "SNF_IMAGE_NIC_COUNT=1",
        "SNF_IMAGE_NIC_0_NETWORK_SUBNET6=2001:db8::/64",
    ):
        assert f"{line}\n" in seen
    assert "odd name" not in seen
    assert "secret" not in (tmp_path / "parent").read_text()
    assert list(scratch_place.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"echo\n", ["/bin/sh"]),
        (b"#!/usr/bin/python3 -I -S\nx", ["/usr/bin/python3", "-I -S"]),
        (b"#! /bin/sh\n", ["/bin/sh"]),
        (b"\x7fELF\0", ["/bin/sh"]),
        (b"", ["/bin/sh"]),
    ],
)
def test_who_reads_a_custom_task(program: bytes, words: list[str]) -> None:
    assert run_custom_task.interpreter(program) == words


def test_no_custom_task_is_nothing(guest: Guest) -> None:
    run_custom_task.run(guest.work())


def test_a_custom_task_must_be_base64(guest: Guest) -> None:
    with pytest.raises(TaskError, match="^CUSTOM_TASK is no base64$"):
        run_custom_task.run(guest.work(PLAIN_JOB._replace(custom_task="%%%")))


def test_the_files_of_the_owner_are_known_to_a_custom_task(guest: Guest) -> None:
    file = PersonalityFile("/x", b"\xff", "root", "root", 0o440)
    known = run_custom_task.variables(guest.work(PLAIN_JOB._replace(personality=(file,))))
    assert json.loads(known["SNF_IMAGE_PERSONALITY"]) == [
        {"path": "/x", "contents": "/w==", "owner": "root", "group": "root", "mode": 0o440}
    ]
