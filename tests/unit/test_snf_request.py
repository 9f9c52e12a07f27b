# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti's environment means, and the job that comes of it."""

from __future__ import annotations

import pytest

from ganeti_cloud.errors import RequestError
from snf_image import jobs, request, wanted
from snf_image.request import Disk
from tests.unit.snfsettings import SETTINGS

ENV = {
    "OS_API_VERSION": "20",
    "OS_VARIANT": "default",
    "INSTANCE_NAME": "vm1.example.com",
    "INSTANCE_HV_disk_cache": "none",
    "DISK_COUNT": "2",
    "DISK_0_PATH": "/dev/rbd0",
    "DISK_0_URI": "kvm:rbd:rbd/x.ext.disk0",
    "DISK_1_URI": "rbd:rbd/x.ext.disk1:id=ganeti",
    "NIC_COUNT": "1",
    "NIC_0_MAC": "AA:00:00:11:22:33",
    "NIC_0_IP": "192.0.2.7",
    "NIC_0_NETWORK_SUBNET": "192.0.2.0/24",
    "NIC_0_NETWORK_TAGS": "nfdhcpd  public",
    "OSP_IMG_ID": "null",
    "OSP_IMG_PASSWD": "secret",
}


def test_a_create_as_ganeti_asks_for_it() -> None:
    asked = request.of_create(ENV)
    assert asked._replace(nics=()) == request.Request(
        instance="vm1.example.com",
        variant="default",
        reinstall=False,
        cache="none",
        disks=(Disk("/dev/rbd0", "rbd:rbd/x.ext.disk0"), Disk("", "rbd:rbd/x.ext.disk1:id=ganeti")),
        nics=(),
        parameters={"img_id": "null", "img_passwd": "secret"},
    )
    [nic] = asked.nics
    assert (nic.mac, nic.ip, nic.tags) == ("aa:00:00:11:22:33", "192.0.2.7", frozenset({"nfdhcpd", "public"}))
    assert request.of_create({**ENV, "INSTANCE_REINSTALL": "1"}).reinstall


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"INSTANCE_NAME": ""}, "INSTANCE_NAME is not set"),
        ({"INSTANCE_NAME": "a b"}, "INSTANCE_NAME='a b' is not the name of an instance"),
        ({"DISK_COUNT": "0"}, "the instance has no disk to put an image on"),
        ({"DISK_COUNT": "many"}, "DISK_COUNT='many' is not a number up to 32"),
        ({"DISK_COUNT": "99"}, "DISK_COUNT='99' is not a number up to 32"),
        ({"DISK_COUNT": "3"}, "neither DISK_2_PATH nor DISK_2_URI is set"),
        ({"DISK_0_PATH": "rbd0"}, "DISK_0_PATH='rbd0' is no absolute path"),
        ({"NIC_COUNT": "2"}, "NIC_1_MAC is not set"),
        ({"INSTANCE_HV_disk_cache": "unsafe"}, "disk_cache='unsafe' is unknown here"),
    ],
)
def test_what_ganeti_does_not_say_is_missed(change: dict[str, str], problem: str) -> None:
    with pytest.raises(RequestError) as caught:
        request.of_create({**ENV, **change})
    assert str(caught.value) == problem
    assert caught.value.hint


@pytest.mark.parametrize(
    ("env", "disk"),
    [
        ({"EXPORT_DEVICE": "/dev/a"}, Disk("/dev/a", "")),
        ({"EXPORT_DEVICE": "/dev/a", "EXPORT_DISK_PATH": "/dev/b"}, Disk("/dev/b", "")),
        ({"EXPORT_DISK_URI": "kvm:rbd:rbd/x"}, Disk("", "rbd:rbd/x")),
    ],
)
def test_the_disk_of_an_export(env: dict[str, str], disk: Disk) -> None:
    assert request.of_transfer(env, "EXPORT") == disk


def test_the_job_of_a_request() -> None:
    asked = request.of_create(
        {
            **ENV,
            "OSP_IMG_PROPERTIES": '{"osfamily": "Linux", "users": "root debian", "root_partition": "2"}',
            "OSP_INST_PROPERTIES": '{"USERS": "admin", "EXCLUDE_TASK_AddSwap": "yes"}',
        }
    )
    plan = wanted.parse(asked.parameters, SETTINGS)
    found = jobs.merged(plan, {"USERS": "nobody", "SWAP": "2:512"}, SETTINGS)
    job = jobs.build(plan, asked, SETTINGS, found, "<unattend/>")
    assert job is not None
    assert (job.hostname, job.disks, job.os_family, job.root_partition) == ("vm1.example.com", 2, "linux", 2)
    assert (job.users, job.excluded, job.properties["SWAP"]) == (("admin",), ("AddSwap",), "2:512")
    assert (job.password, job.answer_file, job.time_zone) == ("secret", "<unattend/>", "GMT Standard Time")
    assert [nic.ipv4 for nic in job.nics] == ["dhcp"]


def test_with_every_task_left_out_there_is_no_job() -> None:
    asked = request.of_create({**ENV, "OSP_IMG_PROPERTIES": '{"EXCLUDE_ALL_TASKS": "yes"}'})
    plan = wanted.parse(asked.parameters, SETTINGS)
    assert jobs.build(plan, asked, SETTINGS, jobs.merged(plan, {}, SETTINGS), "") is None
