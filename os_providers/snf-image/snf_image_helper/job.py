# SPDX-License-Identifier: BSD-2-Clause
"""Contract "job": what the node tells the helper machine to do, as JSON text on a disk of its own.

The disk holds the text, then zeros up to a whole sector. Everything was checked on the node; what depends on the guest
(its family, its users) is found out in the helper.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping

from snf_image_helper.records import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

SECTOR = 512

# The serial numbers of the disks, by which the helper knows them: its letters are the kernel's affair.
JOB_SERIAL = "job"
DISK_SERIAL = "disk"  # and the number behind it: disk0, disk1, ...


class Nic(NamedTuple):
    """One network interface. Empty text is "none"; *ip* has no prefix length, *subnet* and *subnet6* have one.

    *ipv4* is none, dhcp or static. *ipv6* is none, slaac, slaac_dhcp (addresses by SLAAC, the rest by DHCPv6), dhcp or
    static.
    """

    mac: str
    ipv4: str
    ipv6: str
    ip: str
    subnet: str
    gateway: str
    ip6: str
    subnet6: str
    gateway6: str
    name_servers: tuple[str, ...]
    search_domains: tuple[str, ...]
    mtu: int  # 0: left to the guest


class PersonalityFile(NamedTuple):
    """A file to be put into the guest; *owner* and *group* are names or numbers there."""

    path: str
    contents: bytes
    owner: str
    group: str
    mode: int


class Job(NamedTuple):
    """All that a deployment is about.

    *properties* are those of the image with those of the instance over them, keys in capitals. *os_family* and
    *root_partition* are empty and 0 when they are to be found out, *users* is empty for the family's own. *excluded*
    are names of tasks. *custom_task* is empty unless the site allows one. *time_zone* is for Windows, in its words.
    """

    hostname: str
    disks: int
    os_family: str
    root_partition: int
    properties: Mapping[str, str]
    excluded: tuple[str, ...]
    users: tuple[str, ...]
    password: str
    password_hash: str
    ssh_keys: tuple[str, ...]
    personality: tuple[PersonalityFile, ...]
    nics: tuple[Nic, ...]
    user_data: bytes
    product_key: str
    answer_file: str
    time_zone: str
    custom_task: str

    def encode(self) -> bytes:
        """What the job disk holds: whole sectors."""
        text = json.dumps(self._asdict() | _encoded(self), sort_keys=True).encode()
        return text + bytes(-len(text) % SECTOR)

    @classmethod
    def decode(cls, raw: bytes) -> Job:
        """The reverse of :meth:`encode`."""
        given: dict[str, Any] = json.loads(raw.rstrip(b"\0"))
        for name in ("excluded", "users", "ssh_keys"):
            given[name] = tuple(given[name])
        given["user_data"] = binascii.a2b_base64(given["user_data"])
        given["personality"] = tuple(_personality_file(entry) for entry in given["personality"])
        given["nics"] = tuple(_nic(entry) for entry in given["nics"])
        return cls(**given)


# A job that asks for nothing: the trial of an accelerator needs no other, and tests make theirs from it.
NOTHING = Job(
    hostname="",
    disks=0,
    os_family="",
    root_partition=0,
    properties={},
    excluded=(),
    users=(),
    password="",
    password_hash="",
    ssh_keys=(),
    personality=(),
    nics=(),
    user_data=b"",
    product_key="",
    answer_file="",
    time_zone="",
    custom_task="",
)


def _encoded(job: Job) -> dict[str, Any]:
    return {
        "user_data": _base64(job.user_data),
        "personality": [file._asdict() | {"contents": _base64(file.contents)} for file in job.personality],
        "nics": [nic._asdict() for nic in job.nics],
        "properties": dict(job.properties),
    }


def _base64(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode()


def _personality_file(entry: dict[str, Any]) -> PersonalityFile:
    return PersonalityFile(**entry | {"contents": binascii.a2b_base64(entry["contents"])})


def _nic(entry: dict[str, Any]) -> Nic:
    lists = {name: tuple(entry[name]) for name in ("name_servers", "search_domains")}
    return Nic(**entry | lists)
