# SPDX-License-Identifier: BSD-2-Clause
"""URIs for QEMU, as far as the Ganeti of the node can carry them.

Each Ganeti here is a folder with the lines that matter: those of 3.1 are as in its source, that of 3.2 adds the user.
3.0 has no kvm_utils.py at all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.parameters import Settings
from archipelago.uri import obstacle, userspace_uri
from tests.unit.settings import SETTINGS, VOLUME

TAKES_APART = "\n\ndef ParseStorageUriToBlockdevParam(uri):\n  pass\n"

SOURCES = {
    "3.0": 'import re\n\ndef KvmCompat():\n  pass\n\n_SPICE = r"^rbd:$"\n',
    "3.1": '_BLOCKDEV_URI_REGEX_RBD = r"^rbd:(?P<pool>\\w+)/(?P<image>[a-z0-9-\\.]+)$"' + TAKES_APART,
    "3.2": '_BLOCKDEV_URI_REGEX_RBD = r"^rbd:(?P<pool>\\w+)/(?P<image>[a-z0-9-\\.]+)(?::id=(?P<id>[^:]+))?$"'
    + TAKES_APART,
    "a later one without the pattern": "GRAMMAR = {}" + TAKES_APART,
    "a later one with a longer pattern": '_BLOCKDEV_URI_REGEX_RBD = (r"^rbd:"\n  r"(?P<pool>.*)$")' + TAKES_APART,
}

PLAIN = f"rbd:rbd/{VOLUME}"

DISKS = {
    "plain": (SETTINGS, PLAIN),
    "underscore": (SETTINGS._replace(pool="vm_disks"), f"rbd:vm_disks/{VOLUME}"),
    "user": (SETTINGS._replace(user="vm"), f"{PLAIN}:id=vm"),
    "conf": (SETTINGS._replace(conf="/srv/c.conf"), f"{PLAIN}:conf=/srv/c.conf"),
    "user and conf": (SETTINGS._replace(user="vm", conf="/srv/c.conf"), f"{PLAIN}:id=vm:conf=/srv/c.conf"),
    "namespace": (SETTINGS._replace(namespace="prod"), f"rbd:rbd/prod/{VOLUME}"),
    "keyring": (SETTINGS._replace(user="vm", keyring="/srv/vm.key"), f"{PLAIN}:id=vm:keyring=/srv/vm.key"),
    "dashed pool": (SETTINGS._replace(pool="vm-disks"), f"rbd:vm-disks/{VOLUME}"),
}

CARRIES = {
    "3.0": set(DISKS),
    "3.1": {"plain", "underscore"},
    "3.2": {"plain", "underscore", "user"},
    "a later one without the pattern": set[str](),
    "a later one with a longer pattern": set[str](),
}


UNKNOWN = "this Ganeti takes URIs apart in a way that is not known"


def qemu(tmp_path: Path) -> str:
    """The folder of the libraries of a QEMU that has the driver rbd."""
    driver = tmp_path / "lib/any-arch/qemu/block-rbd.so"
    driver.parent.mkdir(parents=True)
    driver.touch()
    return str(tmp_path / "lib")


def ganeti(tmp_path: Path, source: str) -> str:
    """The folder of a Ganeti whose code for KVM says *source*."""
    folder = tmp_path / "ganeti/hypervisor/hv_kvm"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("# the hypervisor\n")
    (folder / ("validation.py" if source == SOURCES["3.0"] else "kvm_utils.py")).write_text(source)
    (folder / "README").write_text(TAKES_APART)  # no Python
    return str(tmp_path)


@pytest.mark.parametrize("version", SOURCES)
@pytest.mark.parametrize("disk", DISKS)
def test_what_each_ganeti_carries(tmp_path: Path, version: str, disk: str) -> None:
    settings, uri = DISKS[disk]
    node = (ganeti(tmp_path, SOURCES[version]), qemu(tmp_path))
    found = userspace_uri(settings, VOLUME, *node)
    assert found == (uri if disk in CARRIES[version] else None)
    reason = UNKNOWN if version.startswith("a later") else f"this Ganeti cannot carry {uri}"
    assert obstacle(settings, VOLUME, *node) == (None if found else reason)


def test_3_1_carries_small_letters_only(tmp_path: Path) -> None:
    node = (ganeti(tmp_path, SOURCES["3.1"]), qemu(tmp_path))
    assert userspace_uri(SETTINGS, VOLUME.upper(), *node) is None
    assert userspace_uri(SETTINGS, f"{VOLUME}.snap", *node) == f"{PLAIN}.snap"


@pytest.mark.parametrize("settings", [settings for settings, _ in DISKS.values()], ids=list(DISKS))
def test_without_ganeti_there_is_none(tmp_path: Path, settings: Settings) -> None:
    reason = "there is no Ganeti on this node, or one that has moved its source"
    assert obstacle(settings, VOLUME, str(tmp_path), qemu(tmp_path)) == reason
    assert userspace_uri(settings, VOLUME, str(tmp_path), str(tmp_path / "lib")) is None


@pytest.mark.parametrize("disk", DISKS)
def test_without_qemus_driver_there_is_none(tmp_path: Path, disk: str) -> None:
    settings, _ = DISKS[disk]
    node = (ganeti(tmp_path, SOURCES["3.0"]), str(tmp_path))
    assert obstacle(settings, VOLUME, *node) == "QEMU has no block driver for rbd (package qemu-block-extra)"
    assert userspace_uri(settings, VOLUME, *node) is None


@pytest.mark.parametrize("path", ["/srv/a:b", "/srv/a,b", "/srv/a b", "/srv/a\\b"])
@pytest.mark.parametrize("key", ["conf", "keyring"])
def test_a_path_that_no_uri_can_hold(tmp_path: Path, key: str, path: str) -> None:
    settings = SETTINGS._replace(conf=path) if key == "conf" else SETTINGS._replace(keyring=path)
    node = (ganeti(tmp_path, SOURCES["3.0"]), qemu(tmp_path))
    assert obstacle(settings, VOLUME, *node) == f"no URI can hold the path {path}"
