# SPDX-License-Identifier: BSD-2-Clause
"""What a lab is asked to be. Checked once here, so that nothing below has to."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from ganeti_cloud.errors import RequestError

DOMAIN = "lab.test"  # .test is reserved, RFC 2606
STORE = "store"
MAX_NODES = 9


class Release(StrEnum):
    """The Debian releases that nodes can be made from."""

    BOOKWORM = "bookworm"  # Ganeti 3.0.2, QEMU 7.2, Ceph 16.2
    TRIXIE = "trixie"  # Ganeti 3.1.0~rc2, QEMU 10.0, Ceph 18.2


class Storage(StrEnum):
    """What instances' disks live on."""

    RADOS = "rados"  # a Ceph cluster on the extra node `store`
    FILE = "file"  # no Ceph, only /srv/shared


@dataclass(frozen=True, slots=True)
class Subnet:
    """The lab's addresses; nothing outside the lab ever sees them."""

    network: ipaddress.IPv4Network

    @classmethod
    def parse(cls, text: str) -> Self:
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as err:
            raise RequestError(f"--subnet {text}: {err}", hint="give an IPv4 network like 198.51.100.0/24") from err
        if not 16 <= network.prefixlen <= 24:
            raise RequestError(
                f"--subnet {text}: too small or too large", hint="a prefix length from 16 to 24 is needed"
            )
        return cls(network)

    def _at(self, offset: int) -> str:
        return str(self.network.network_address + offset)

    @property
    def cluster(self) -> str:
        return self._at(9)

    def host(self, node: str) -> str:
        """Address of ``node3`` or ``store``."""
        return self._at(20 if node == STORE else 10 + int(node.removeprefix("node")))

    def instance(self, number: int) -> str:
        return self._at(100 + number)

    def hosts_file(self) -> str:
        """``/etc/hosts`` of every node: the only name service there is."""
        lines = ["127.0.0.1 localhost", f"{self.cluster} cluster.{DOMAIN} cluster"]
        names = [*(f"node{n}" for n in range(1, MAX_NODES + 1)), STORE]
        lines += [f"{self.host(name)} {name}.{DOMAIN} {name}" for name in names]
        lines += [f"{self.instance(n)} inst{n}.{DOMAIN} inst{n}" for n in range(1, 100)]
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabSpec:
    """One lab: its size, its release and what runs on its store."""

    name: str = "lab"
    release: Release = Release.TRIXIE
    nodes: int = 3
    storage: Storage = Storage.RADOS
    osds: int = 1
    mgr: bool = False
    rabbitmq: bool = False
    subnet: str = "198.51.100.0/24"  # TEST-NET-2 (RFC 5737): routed nowhere
    memory_gib: int = 8
    ceph_options: tuple[tuple[str, str], ...] = ()
    extra_packages: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        if not 1 <= self.nodes <= MAX_NODES:
            raise RequestError(f"--nodes {self.nodes}: not a number from 1 to {MAX_NODES}")
        if self.osds not in (1, 3):
            raise RequestError(f"--osds {self.osds}: not 1 (in memory) or 3 (BlueStore, two copies)")
        if self.memory_gib < 1:
            raise RequestError(f"--memory {self.memory_gib}: not a number of GiB from 1")
        Subnet.parse(self.subnet)

    @property
    def plan(self) -> Subnet:
        return Subnet.parse(self.subnet)

    @property
    def ganeti_nodes(self) -> tuple[str, ...]:
        return tuple(f"node{number}" for number in range(1, self.nodes + 1))

    @property
    def has_store(self) -> bool:
        return self.storage is Storage.RADOS or self.rabbitmq

    @property
    def all_nodes(self) -> tuple[str, ...]:
        return (*self.ganeti_nodes, STORE) if self.has_store else self.ganeti_nodes

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        raw: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **raw,
                "release": Release(raw["release"]),
                "storage": Storage(raw["storage"]),
                "ceph_options": tuple((key, value) for key, value in raw["ceph_options"]),
                "extra_packages": tuple(raw["extra_packages"]),
            }
        )


def check_name(name: str) -> None:
    """Refuse a lab name that cannot be part of the names of namespaces, cgroups and folders."""
    if not re.fullmatch(r"[a-z][a-z0-9]{0,11}", name):
        raise RequestError(f"--name {name!r}: not a lab name", hint="use up to 12 lower-case letters and digits")


def parse_ceph_option(text: str) -> tuple[str, str]:
    """``KEY=VALUE`` of ``--ceph-option``."""
    key, equals, value = text.partition("=")
    key = key.strip().replace(" ", "_")
    if not equals or not re.fullmatch(r"[a-z][a-z0-9_]*", key) or "\n" in value:
        raise RequestError(
            f"--ceph-option {text!r}: not KEY=VALUE", hint="for example --ceph-option osd_client_watch_timeout=4"
        )
    return key, value.strip()


def grown(old: LabSpec, new: LabSpec) -> LabSpec:
    """The spec of the lab *old* after it was asked to be *new*.

    More nodes and RabbitMQ can be added to a lab that is up; all else is decided when it is made, and RequestError
    tells what of it would have to change.
    """
    grows = {"nodes": new.nodes >= old.nodes, "rabbitmq": True}
    was, wanted = asdict(old), asdict(new)
    changed = [key for key in was if was[key] != wanted[key] and not grows.get(key, False)]
    if changed:
        what = ", ".join(f"{key} is {was[key]!s} and not {wanted[key]!s}" for key in changed)
        raise RequestError(f"lab {old.name!r} exists: {what}", hint=f"lab down --name {old.name} removes it")
    return replace(new, rabbitmq=old.rabbitmq or new.rabbitmq)
