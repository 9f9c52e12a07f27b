# SPDX-License-Identifier: BSD-2-Clause
"""The two contracts between node and helper machine: the job and the lines."""

from __future__ import annotations

import json

import pytest

from snf_image_helper import lines
from snf_image_helper.job import SECTOR, Job, Nic, PersonalityFile
from snf_image_helper.lines import Line
from snf_image_helper.properties import truth

NIC = Nic(
    mac="aa:00:00:11:22:33",
    ipv4="static",
    ipv6="slaac",
    ip="192.0.2.7",
    subnet="192.0.2.0/24",
    gateway="192.0.2.1",
    ip6="",
    subnet6="2001:db8::/64",
    gateway6="2001:db8::1",
    name_servers=("192.0.2.53",),
    search_domains=("example.com",),
    mtu=1400,
)
JOB = Job(
    hostname="vm1.example.com",
    disks=2,
    os_family="linux",
    root_partition=1,
    properties={"OSFAMILY": "linux"},
    excluded=("AddSwap",),
    users=("root", "debian"),
    password='s3c"ret\\ü',
    password_hash="",
    ssh_keys=("ssh-ed25519 AAAA user@host",),
    personality=(PersonalityFile("/etc/motd", b"\0\xff\n", "root", "adm", 0o640),),
    nics=(NIC,),
    user_data=b"#cloud-config\n\xff",
    product_key="",
    answer_file="<x/>",
    time_zone="GMT Standard Time",
    custom_task="",
)


def test_a_job_comes_through_the_disk_as_it_was() -> None:
    raw = JOB.encode()
    assert (len(raw) % SECTOR, Job.decode(raw + bytes(8 * SECTOR))) == (0, JOB)


def test_a_line_comes_through_the_port_as_it_was() -> None:
    line = Line(lines.WARNING, "AddSwap", 'no "room" left')
    assert lines.decode(line.encode()) == line


@pytest.mark.parametrize("text", ["x" * 9999, "a\nb\x1b[2Jc" * 500, "\N{PILE OF POO}" * 9999, "\\" * 9999])
def test_no_text_makes_a_line_too_long_or_two_of_one(text: str) -> None:
    raw = Line(lines.ERROR, "MountImage", text).encode()
    decoded = lines.decode(raw)
    assert raw.count(b"\n") == 1
    assert decoded is not None
    assert decoded.text.isprintable()
    assert len(decoded.text) <= lines.TEXT


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[" * 4000,
        b'{"kind": "task-start"}',
        b'{"kind": "shutdown", "task": "", "text": ""}',
        b'{"kind": "error", "task": "../x", "text": ""}',
        b'{"kind": "error", "task": 7, "text": ""}',
        b'{"kind": ["error"], "task": "", "text": ""}',
        json.dumps({"kind": "error", "task": "", "text": "x" * 5000}).encode(),
    ],
)
def test_what_is_no_line_is_none(raw: bytes) -> None:
    assert lines.decode(raw) is None


@pytest.mark.parametrize("word", ["yes", "TRUE", " on ", "1", "set"])
def test_words_for_yes(word: str) -> None:
    assert truth({"SWAP": word}, "SWAP")


@pytest.mark.parametrize("word", ["no", "False", "off", "0", "unset", ""])
def test_words_for_no(word: str) -> None:
    assert not truth({"SWAP": word}, "SWAP")
    assert not truth({}, "SWAP")


def test_another_word_is_refused() -> None:
    """The original took it for yes."""
    with pytest.raises(ValueError, match="CLOUD_INIT='maybe': write yes or no"):
        truth({"CLOUD_INIT": "maybe"}, "CLOUD_INIT")
