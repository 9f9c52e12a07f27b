# SPDX-License-Identifier: BSD-2-Clause
"""Block devices by rbd-nbd.

A mock: no machine that these tests run on has the kernel module ``nbd``, nor rbd-nbd. Folders stand for /sys and
/proc, and a script stands for rbd-nbd(8). Neither was compared with the real ones here.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.mapping.mapper import Mapped
from archipelago.mapping.nbd import RbdNbd
from ganeti_cloud.errors import CommandError, StorageError
from tests.unit.faketools import FakeTools
from tests.unit.settings import SETTINGS, VOLUME

PROD = SETTINGS._replace(pool="ssd", namespace="prod", user="vm")
SPEC = f"ssd/prod/{VOLUME}"


class Node:
    """A node with the module ``nbd``: sixteen devices, none of them in use."""

    def __init__(self, root: Path) -> None:
        self.sys, self.proc = root / "sys", root / "proc"
        for number in range(16):
            (self.sys / "block" / f"nbd{number}").mkdir(parents=True)
        (self.sys / "block/sda").mkdir()
        self.nbd = RbdNbd(str(self.sys), str(self.proc))

    def pid_file(self, number: int) -> Path:
        return self.sys / "block" / f"nbd{number}" / "pid"

    def serve(self, number: int, pid: int, *arguments: str) -> Mapped:
        """Process *pid* with *arguments* serves device *number*."""
        self.pid_file(number).write_text(f"{pid}\n")
        process = self.proc / str(pid)
        process.mkdir(parents=True)
        (process / "cmdline").write_text("\0".join(["rbd-nbd", *arguments, ""]))
        (process / "stat").write_text(f"{pid} (rbd-nbd) S\n")
        return Mapped(
            f"/dev/nbd{number}",
            [(str(self.pid_file(number)), str(pid)), (str(process / "stat"), f"{pid} (rbd-nbd) S")],
        )


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_find(node: Node) -> None:
    node.serve(0, 100, "map", f"{SPEC}.snap")
    node.serve(1, 101, "map", f"ssd/{VOLUME}")
    node.serve(2, 102, "map", f"{SPEC}@ganeti-export")
    node.pid_file(3).write_text("103\n")  # its process is gone
    assert node.nbd.find(PROD, VOLUME) is None
    mapped = node.serve(11, 104, "--id", "vm", "map", SPEC)
    assert node.nbd.find(PROD, VOLUME) == mapped


def test_find_without_the_module(tmp_path: Path) -> None:
    assert RbdNbd(str(tmp_path), str(tmp_path)).find(PROD, VOLUME) is None


def test_unusable(fake_tool: FakeTools, tmp_path: Path) -> None:
    nbd = RbdNbd(str(tmp_path / "sys"), str(tmp_path / "proc"))
    assert nbd.unusable() == "rbd-nbd is not installed"
    fake_tool("rbd-nbd")
    assert nbd.unusable() == "the kernel has no module nbd"
    Node(tmp_path)
    assert nbd.unusable() is None


def test_map(fake_tool: FakeTools, node: Node) -> None:
    mapped = node.serve(3, 300, "map", SPEC)
    pid = node.pid_file(3).rename(node.sys / "pid")
    tool = fake_tool("rbd-nbd", does=f"/bin/mv {pid} {node.pid_file(3)}", says="/dev/nbd3\n")
    assert node.nbd.map(PROD, VOLUME) == mapped
    assert tool.calls == [["--conf", "/etc/ceph/ceph.conf", "--id", "vm", "map", SPEC]]


def test_map_again_takes_the_same_device_if_it_is_free(fake_tool: FakeTools, node: Node) -> None:
    mapped = node.serve(3, 300, "map", SPEC)
    tool = fake_tool("rbd-nbd", does='[ "$#" = 6 ] || exit 1')  # with more arguments it fails: the device is taken
    assert node.nbd.map(PROD, VOLUME, "/dev/nbd3") == mapped
    asked = ["--conf", "/etc/ceph/ceph.conf", "--id", "vm", "map", SPEC]
    assert tool.calls == [[*asked, "--device", "/dev/nbd3"], asked]


def test_map_fails(fake_tool: FakeTools, node: Node) -> None:
    fake_tool("rbd-nbd", complains="rbd-nbd: failed to map\n", status=1)
    with pytest.raises(CommandError) as caught:
        node.nbd.map(PROD, VOLUME)
    command = f"rbd-nbd --conf /etc/ceph/ceph.conf --id vm map {SPEC}"
    assert (str(caught.value), caught.value.status) == (f"{command}: exit 1: rbd-nbd: failed to map", 1)


def test_map_without_effect(fake_tool: FakeTools, node: Node) -> None:
    fake_tool("rbd-nbd")
    with pytest.raises(CommandError) as caught:
        node.nbd.map(PROD, VOLUME)
    assert str(caught.value) == f"rbd-nbd map {SPEC}: no device appeared"


def test_unmap_twice(fake_tool: FakeTools, node: Node) -> None:
    node.serve(3, 300, "map", SPEC)
    tool = fake_tool("rbd-nbd", does=f"/bin/rm {node.pid_file(3)}")
    assert node.nbd.unmap(PROD, VOLUME) is True
    assert node.nbd.unmap(PROD, VOLUME) is False
    assert tool.calls == [["unmap", "/dev/nbd3"]]


def test_unmap_of_a_device_in_use(fake_tool: FakeTools, node: Node) -> None:
    node.serve(3, 300, "map", SPEC)
    fake_tool("rbd-nbd", complains="rbd-nbd: busy\n", status=16)
    with pytest.raises(StorageError) as caught:
        node.nbd.unmap(PROD, VOLUME)
    assert (str(caught.value), caught.value.hint) == (
        f"volume {VOLUME} cannot be unmapped from /dev/nbd3: rbd-nbd unmap /dev/nbd3: exit 16: rbd-nbd: busy",
        "`fuser -v /dev/nbd3` shows what still uses it",
    )
