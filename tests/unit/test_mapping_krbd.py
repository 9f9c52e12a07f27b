# SPDX-License-Identifier: BSD-2-Clause
"""Block devices by the kernel's RBD client.

A mock: no machine that these tests run on has the kernel module ``rbd``. A folder stands for /sys, filled as the
kernel's sysfs-bus-rbd describes it, and a script stands for rbd(8). Neither was compared with the real ones here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.mapping.krbd import KernelRbd
from archipelago.mapping.mapper import Mapped
from ganeti_cloud.errors import CommandError, StorageError
from tests.unit.faketools import FakeTools
from tests.unit.settings import SETTINGS, VOLUME

PROD = SETTINGS._replace(pool="ssd", namespace="prod", user="vm")


def bus(sys: Path, number: int, **changed: str) -> Path:
    """Device *number* in the tree at *sys*: VOLUME as PROD has it, but for what is *changed*."""
    folder = sys / "bus/rbd/devices" / str(number)
    folder.mkdir(parents=True)
    for key, value in {"pool": "ssd", "pool_ns": "prod", "name": VOLUME, "current_snap": "-", **changed}.items():
        (folder / key).write_text(f"{value}\n")
    return folder


def mapped(folder: Path, namespace: str = "prod") -> Mapped:
    content = {"pool": "ssd", "pool_ns": namespace, "name": VOLUME, "current_snap": "-"}
    return Mapped(f"/dev/rbd{folder.name}", [(f"{folder}/{key}", value) for key, value in content.items()])


def test_find(tmp_path: Path) -> None:
    bus(tmp_path, 0, name=f"{VOLUME}.snap")
    bus(tmp_path, 1, pool="hdd")
    bus(tmp_path, 2, pool_ns="")
    bus(tmp_path, 3, current_snap="ganeti-export")
    krbd = KernelRbd(str(tmp_path))
    assert krbd.find(PROD, VOLUME) is None
    own = bus(tmp_path, 10)
    assert krbd.find(PROD, VOLUME) == mapped(own)


def test_find_on_a_kernel_without_namespaces(tmp_path: Path) -> None:
    own = bus(tmp_path, 0)
    (own / "pool_ns").unlink()
    krbd = KernelRbd(str(tmp_path))
    assert krbd.find(PROD, VOLUME) is None
    assert krbd.find(PROD._replace(namespace=""), VOLUME) == mapped(own, namespace="")


def test_find_without_the_module(tmp_path: Path) -> None:
    assert KernelRbd(str(tmp_path)).find(PROD, VOLUME) is None


def test_unusable(fake_tool: FakeTools, tmp_path: Path) -> None:
    krbd = KernelRbd(str(tmp_path))
    assert krbd.unusable() == "rbd is not installed"
    fake_tool("rbd")
    assert krbd.unusable() == "the kernel has no module rbd"
    (tmp_path / "bus/rbd").mkdir(parents=True)
    assert krbd.unusable() is None


@pytest.mark.parametrize("namespace", ["prod", ""], ids=["namespace", "no namespace"])
def test_map(fake_tool: FakeTools, tmp_path: Path, namespace: str) -> None:
    prepared = bus(tmp_path, 7, pool_ns=namespace).rename(tmp_path / "7")
    devices = tmp_path / "bus/rbd/devices"
    tool = fake_tool("rbd", does=f"/bin/mv {prepared} {devices}", says="/dev/rbd7\n")
    settings = PROD._replace(namespace=namespace)
    assert KernelRbd(str(tmp_path)).map(settings, VOLUME) == mapped(devices / "7", namespace)
    spec = f"ssd/prod/{VOLUME}" if namespace else f"ssd/{VOLUME}"
    assert tool.calls == [
        ["--conf", "/etc/ceph/ceph.conf", "--id", "vm", "device", "map", "--options", "noshare", spec]
    ]


def test_map_fails(fake_tool: FakeTools, tmp_path: Path) -> None:
    fake_tool("rbd", complains="rbd: sysfs write failed\nrbd: map failed: (6) No such device or address\n", status=6)
    with pytest.raises(CommandError) as caught:
        KernelRbd(str(tmp_path)).map(PROD, VOLUME)
    assert (str(caught.value), caught.value.status) == (
        f"rbd --conf /etc/ceph/ceph.conf --id vm device map --options noshare ssd/prod/{VOLUME}: exit 6: "
        "rbd: map failed: (6) No such device or address",
        6,
    )


def test_map_without_effect(fake_tool: FakeTools, tmp_path: Path) -> None:
    fake_tool("rbd", says="/dev/rbd0\n")
    with pytest.raises(CommandError) as caught:
        KernelRbd(str(tmp_path)).map(PROD, VOLUME)
    assert str(caught.value) == f"rbd device map ssd/prod/{VOLUME}: no device appeared"


def test_unmap_twice(fake_tool: FakeTools, tmp_path: Path) -> None:
    own = bus(tmp_path, 4)
    tool = fake_tool("rbd", does=f"/bin/rm -r {own}")
    krbd = KernelRbd(str(tmp_path))
    assert krbd.unmap(PROD, VOLUME) is True
    assert krbd.unmap(PROD, VOLUME) is False
    assert tool.calls == [["device", "unmap", "/dev/rbd4"]]


def test_unmap_of_a_device_in_use(fake_tool: FakeTools, tmp_path: Path) -> None:
    bus(tmp_path, 4)
    fake_tool("rbd", complains="rbd: unmap failed: (16) Device or resource busy\n", status=16)
    with pytest.raises(StorageError) as caught:
        KernelRbd(str(tmp_path)).unmap(PROD, VOLUME)
    assert (str(caught.value), caught.value.hint) == (
        f"volume {VOLUME} cannot be unmapped from /dev/rbd4: rbd device unmap /dev/rbd4: exit 16: "
        "rbd: unmap failed: (16) Device or resource busy",
        "`fuser -v /dev/rbd4` shows what still uses it",
    )
