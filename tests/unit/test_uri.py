# SPDX-License-Identifier: BSD-2-Clause
"""URIs for QEMU, as far as the Ganeti of the node can carry them.

Each Ganeti here is a folder with the lines that matter: those of 3.1 are as in its source, that of 3.2 adds the user.
3.0 has no kvm_utils.py at all.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.parameters import Settings
from archipelago.uri import userspace_uri
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
    "dashed pool": (SETTINGS._replace(pool="vm-disks"), f"rbd:vm-disks/{VOLUME}"),
}

CARRIES = {
    "3.0": set(DISKS),
    "3.1": {"plain", "underscore"},
    "3.2": {"plain", "underscore", "user"},
    "a later one without the pattern": set[str](),
    "a later one with a longer pattern": set[str](),
}


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
    found = userspace_uri(settings, VOLUME, ganeti(tmp_path, SOURCES[version]))
    assert found == (uri if disk in CARRIES[version] else None)


def test_3_1_carries_small_letters_only(tmp_path: Path) -> None:
    folder = ganeti(tmp_path, SOURCES["3.1"])
    assert userspace_uri(SETTINGS, VOLUME.upper(), folder) is None
    assert userspace_uri(SETTINGS, f"{VOLUME}.snap", folder) == f"{PLAIN}.snap"


@pytest.mark.parametrize("settings", [settings for settings, _ in DISKS.values()], ids=list(DISKS))
def test_without_ganeti_there_is_none(tmp_path: Path, settings: Settings) -> None:
    assert userspace_uri(settings, VOLUME, str(tmp_path)) is None
