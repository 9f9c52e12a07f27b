# SPDX-License-Identifier: BSD-2-Clause
"""Garbage collection takes what no disk of a real Ganeti refers to, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from lab.lab import Lab
from tests.lab.support import Provider, Store, archipelago, call, told

pytestmark = pytest.mark.lab

JOB_S = 300.0
INSTANCE = "inst7.lab.test"
CONFIG = "/etc/ganeti-cloud/archipelago.toml"


def add(lab: Lab, *arguments: str) -> list[str]:
    """The command that adds an instance with two small disks and does not start it."""
    disks = ["--disk=0:size=1G,provider=archipelago", "--disk=1:size=1G,provider=archipelago"]
    where = ["-n", lab.node(1).hostname, "--net=0:link=br-lan"]
    return ["gnt-instance", "add", "-t", "ext", *disks, "-o", "noop", "--no-start", "--no-install", *where, *arguments]


@pytest.fixture(scope="module")
def disks(lab: Lab) -> Iterator[tuple[str, str]]:
    """The volumes of an instance that does not run: of a disk that it has, and of one that was detached from it."""
    lab.master.run([*add(lab), INSTANCE], timeout_s=JOB_S)
    lab.master.run(["gnt-instance", "deactivate-disks", INSTANCE], timeout_s=JOB_S)
    names = told(lab.master, "volume", "list")
    lab.master.run(["gnt-instance", "modify", "--disk=1:detach", INSTANCE], timeout_s=JOB_S)
    [first, second] = sorted(names, key=lambda name: str(name.rpartition(".")[2]))
    yield first, second
    lab.master.run(["gnt-instance", "remove", "-f", INSTANCE], timeout_s=JOB_S)
    # Ganeti 3.0 cannot attach a disk of this template again, and no Ganeti removes a detached one.
    told(lab.master, "volume", "remove", "--force", second)


@pytest.fixture
def volume(lab: Lab, disks: tuple[str, str], provider: Provider) -> Provider:
    """A volume that is no disk: as after a job that was killed between `create` and `attach`."""
    provider.ok("create", VOL_SIZE="8")
    return provider


@pytest.fixture(autouse=True)
def emptied(provider: Provider) -> Iterator[None]:
    """After the test nothing of it is in the trash."""
    yield
    for entry in told(provider.node, "trash", "list"):
        archipelago(provider.node, "trash", "purge", "--now", entry["name"])


def found(lab: Lab, *arguments: str) -> dict[str, str]:
    """What `archipelago gc` does with what, however young it is."""
    return {each["name"]: each["action"] for each in told(lab.master, "gc", "--older-than", "0s", *arguments)}


def test_disks_stay_whether_they_are_attached_or_not(lab: Lab, disks: tuple[str, str], store: Store) -> None:
    assert found(lab) == {}
    assert sorted(store.names()) == sorted(disks)


def test_a_volume_of_no_disk_goes_to_the_trash_and_can_come_back(lab: Lab, volume: Provider, store: Store) -> None:
    assert told(lab.master, "gc") == []  # it is younger than an hour
    assert found(lab, "--dry-run") == {volume.volume: "trash"}
    assert volume.volume in store.names()
    assert found(lab) == {volume.volume: "trash"}
    assert (found(lab), volume.volume in store.names()) == ({}, False)
    told(lab.master, "trash", "restore", volume.volume)
    assert found(lab) == {}  # a person has brought it back


def test_what_ganeti_itself_leaks_is_found(lab: Lab, disks: tuple[str, str], store: Store, provider: Provider) -> None:
    """Ganeti forgets a volume that was created and could not be attached, and removes none that it cannot attach."""
    node = lab.node(1)
    node.write(CONFIG, '[attach]\nmap = "krbd"\n')
    failed = call(lab.master, [*add(lab), "inst6.lab.test"], timeout_s=JOB_S)
    node.run(["rm", CONFIG], timeout_s=30)
    assert failed.status != 0
    leaked = sorted(set(store.names()) - set(disks))
    assert leaked != []
    assert found(lab) == dict.fromkeys(leaked, "trash")
    assert sorted(store.names()) == sorted(disks)


def test_the_volumes_of_others_stay(lab: Lab, volume: Provider, store: Store) -> None:
    told(lab.master, "volume", "snapshot", volume.volume, "s")
    clone = Provider(volume.node, f"{volume.volume}.clone")
    told(lab.master, "volume", "clone", f"{volume.volume}@s", clone.volume)
    assert found(lab) == {volume.volume: "stays"}  # it has a clone
    clone.ok("remove")
    command = ["rbd", "image-meta", "set", volume.volume, "ganeti-cloud.volume.cluster", "other.example.com"]
    store.node.run(command, timeout_s=30)
    assert found(lab) == {}
    told(lab.master, "snapshot", "remove", f"{volume.volume}@s")


def test_what_is_open_stays(lab: Lab, volume: Provider, store: Store) -> None:
    volume.ok("attach")
    [stays] = told(lab.master, "gc", "--older-than", "0s")
    assert (stays["action"], stays["why"].startswith("no disk, but open on ")) == ("stays", True)
    volume.ok("detach")
    # Another node says that it has opened it, and may be cut off: whoever has that written down has it open.
    store.node.run(
        ["rados", "-p", "rbd", "setxattr", f"rbd_id.{volume.volume}", "ganeti-cloud.open.n9", "x"], timeout_s=30
    )
    assert told(lab.master, "gc", "--older-than", "0s")[0]["why"] == "no disk, but open on n9"


def test_what_is_made_while_a_job_runs_stays(lab: Lab, volume: Provider) -> None:
    """It may be about to become a disk."""
    submitted = call(lab.master, ["gnt-debug", "delay", "--submit", "--no-master", "-n", "node2.lab.test", "8"])
    job = (submitted.stdout + submitted.stderr).split()[-1]
    assert found(lab) == {}
    call(lab.master, ["gnt-job", "watch", job])
    assert found(lab, "--dry-run") == {volume.volume: "trash"}


def test_leftovers_and_copies_of_exports_go(lab: Lab, disks: tuple[str, str], store: Store, provider: Provider) -> None:
    draft, copy = f"{provider.volume}.unfinished", f"{disks[0]}.snap"
    store.node.run(["rbd", "create", "--size=8", draft], timeout_s=30)
    Provider(lab.node(1), disks[0]).ok("snapshot", VOL_SNAPSHOT_NAME=copy, VOL_SNAPSHOT_SIZE="1024")
    assert told(lab.master, "gc") == []
    assert found(lab) == {copy: "trash", provider.volume: "sweep"}
    assert sorted(store.names()) == sorted(disks)


def test_rename_and_remove_leave_ganetis_disks_to_ganeti(lab: Lab, disks: tuple[str, str], store: Store) -> None:
    used, free = disks
    for command in (["rename", used, "new"], ["remove", used], ["remove", "--dry-run", used]):
        refused = archipelago(lab.master, "volume", *command)
        assert refused.stderr.startswith(f"error: volume {used} is a disk of {INSTANCE}\n")
    refused = archipelago(lab.master, "volume", "remove", free)
    assert refused.stderr.startswith(f"error: volume {free} is a disk that is detached from its instance\n")
    assert sorted(store.names()) == sorted(disks)


class TestAnotherNode:
    """One that is not the master asks by RAPI, which does not show detached disks."""

    @pytest.fixture
    def said(self, lab: Lab, volume: Provider) -> Iterator[Callable[[str], str]]:
        node = lab.node(2)
        node.write("/etc/ganeti-cloud/password", "lab\n", mode="0600")

        def said(text: str) -> str:
            node.write(CONFIG, text)
            result = archipelago(node, "gc", "--older-than", "0s", "--json")
            return result.stdout + result.stderr

        yield said
        node.run(["rm", "-f", CONFIG, "/etc/ganeti-cloud/password"], timeout_s=30)

    RAPI = '[ganeti]\nrapi = "https://cluster.lab.test:5080"\nrapi_user = "lab"\n'
    RAPI += 'rapi_password_file = "/etc/ganeti-cloud/password"\n'

    def test_it_names_the_master(self, lab: Lab, said: Callable[[str], str]) -> None:
        assert f"which volumes are disks: {lab.master.hostname} can\n" in said("")

    def test_it_tells_and_touches_nothing(
        self, lab: Lab, said: Callable[[str], str], disks: tuple[str, str], volume: Provider
    ) -> None:
        text = said(self.RAPI)
        assert disks[0] not in text
        for name in (disks[1], volume.volume):
            assert f'"action": "stays", "name": "{name}"' in text
        assert "detached disks cannot be seen from this node: ask on the master" in text

    def test_another_certificate_is_refused(self, lab: Lab, said: Callable[[str], str]) -> None:
        other = f'{self.RAPI}rapi_certificate = "/var/lib/ganeti/server.pem"\n'
        assert "has another certificate than [ganeti] rapi_certificate\n" in said(other)

    def test_a_wrong_password_is_told(self, lab: Lab, said: Callable[[str], str]) -> None:
        text = said(self.RAPI.replace('"lab"', '"nobody"'))
        assert "refuses /2/jobs?bulk=1 (401 Unauthorized)\n" in text
        assert os.linesep + "hint: " in text
