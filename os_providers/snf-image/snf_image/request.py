# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti asks of a script of the OS: its environment, read once. See ganeti-os-interface(7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ganeti_cloud.errors import RequestError

API = "20"
CACHES = ("default", "none", "writeback", "writethrough")

_HINT = "Ganeti sets this variable; to try an image by hand use `snf-image deploy`"
_INSTANCE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,253}[A-Za-z0-9])?")
_MOST_DISKS = 32
_MOST_NICS = 32


class Disk(NamedTuple):
    """A disk of the instance: a block device or file at *path*, or what QEMU opens by *uri*; one may be empty."""

    path: str
    uri: str


class NicRequest(NamedTuple):
    """An interface as Ganeti knows it; empty text is "none". *tags* are those of its network."""

    mac: str
    ip: str
    subnet: str
    gateway: str
    subnet6: str
    gateway6: str
    tags: frozenset[str]


class Request(NamedTuple):
    """One call of a script. *disks* are all of the instance, or the one that is exported or imported."""

    instance: str
    variant: str
    reinstall: bool
    cache: str
    disks: tuple[Disk, ...]
    nics: tuple[NicRequest, ...]
    parameters: Mapping[str, str]


def parameters_of(env: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the OS in the environment *env*."""
    return {key[4:].lower(): value for key, value in env.items() if key.startswith("OSP_")}


def of_create(env: Mapping[str, str]) -> Request:
    """What the environment *env* asks of ``create``. Raises RequestError."""
    count = _count(env, "DISK_COUNT", _MOST_DISKS)
    if count == 0:
        raise RequestError("the instance has no disk to put an image on", hint="add one with --disk 0:size=...")
    return Request(
        instance=_instance(env),
        variant=env.get("OS_VARIANT", ""),
        reinstall=env.get("INSTANCE_REINSTALL") == "1",
        cache=_cache(env),
        disks=tuple(_disk(env, f"DISK_{index}_PATH", f"DISK_{index}_URI") for index in range(count)),
        nics=tuple(_nic(env, f"NIC_{index}_") for index in range(_count(env, "NIC_COUNT", _MOST_NICS))),
        parameters=parameters_of(env),
    )


def of_transfer(env: Mapping[str, str], prefix: str) -> Disk:
    """The disk that ``export`` or ``import`` is about, by *prefix* EXPORT or IMPORT. Raises RequestError."""
    path = f"{prefix}_DISK_PATH" if env.get(f"{prefix}_DISK_PATH") else f"{prefix}_DEVICE"
    return _disk(env, path, f"{prefix}_DISK_URI")


def _instance(env: Mapping[str, str]) -> str:
    name = _needed(env, "INSTANCE_NAME")
    if not _INSTANCE.fullmatch(name):
        raise RequestError(f"INSTANCE_NAME={name[:64]!r} is not the name of an instance", hint=_HINT)
    return name


def _cache(env: Mapping[str, str]) -> str:
    cache = env.get("INSTANCE_HV_disk_cache", "default")
    if cache not in CACHES:
        raise RequestError(
            f"disk_cache={cache[:64]!r} is unknown here", hint=f"set the hypervisor parameter to {', '.join(CACHES)}"
        )
    return cache


def _disk(env: Mapping[str, str], path: str, uri: str) -> Disk:
    disk = Disk(env.get(path, ""), env.get(uri, "").removeprefix("kvm:"))
    if not disk.path and not disk.uri:
        raise RequestError(f"neither {path} nor {uri} is set", hint=_HINT)
    if disk.path and not disk.path.startswith("/"):
        raise RequestError(f"{path}={disk.path[:64]!r} is no absolute path", hint=_HINT)
    return disk


def _nic(env: Mapping[str, str], prefix: str) -> NicRequest:
    return NicRequest(
        mac=_needed(env, f"{prefix}MAC").lower(),
        ip=env.get(f"{prefix}IP", ""),
        subnet=env.get(f"{prefix}NETWORK_SUBNET", ""),
        gateway=env.get(f"{prefix}NETWORK_GATEWAY", ""),
        subnet6=env.get(f"{prefix}NETWORK_SUBNET6", ""),
        gateway6=env.get(f"{prefix}NETWORK_GATEWAY6", ""),
        tags=frozenset(env.get(f"{prefix}NETWORK_TAGS", "").split()),
    )


def _needed(env: Mapping[str, str], key: str) -> str:
    value = env.get(key, "")
    if not value:
        raise RequestError(f"{key} is not set", hint=_HINT)
    return value


def _count(env: Mapping[str, str], key: str, most: int) -> int:
    text = env.get(key, "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 4 or int(text) > most:
        raise RequestError(f"{key}={text[:64]!r} is not a number up to {most}", hint=_HINT)
    return int(text)
