# SPDX-License-Identifier: BSD-2-Clause
"""What the suite for both drivers asks of a store, with other tools than the provider's: Ceph, and two folders.

``file`` is a folder on ext4, where clones are overlays; ``reflink`` one on XFS, where they are reflinks. Both are
in the folder that the nodes of a lab share, and so the kernel is one for all of them: what NFS adds is not tested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ganeti_cloud.process import run
from lab.lab import Lab
from lab.node import Node
from tests.lab.support import CONFIG, Store

FOLDER = "/srv/archipelago"
_IMAGE_MIB = 512  # XFS wants 300 MiB; most of it is a hole


class Backend(Protocol):
    """The store of a lab, seen with the eyes of its administrator."""

    @property
    def lab(self) -> Lab:
        """Where it is."""

    @property
    def node(self) -> Node:
        """A node to look at it from."""

    def use(self) -> None:
        """Make the nodes keep their volumes here."""

    def names(self) -> list[str]:
        """All volumes, and what holds images."""

    def objects(self) -> frozenset[str]:
        """The names of all that is kept: what is left behind shows here, listed or not."""

    def leftovers(self, before: frozenset[str]) -> frozenset[str]:
        """Of :meth:`objects` what was not there *before*, once what goes by itself is gone."""

    def size(self, volume: str) -> int:
        """The size of *volume* in bytes."""

    def owner(self, volume: str) -> str:
        """What Ganeti said of whose volume it is."""

    def shares(self, volume: str) -> bool:
        """Whether *volume* shares data with its parent."""

    def used(self) -> int:
        """Bytes that are taken by data."""

    def silent(self) -> Callable[[], object]:
        """Stop answering; returns what ends that."""


@dataclass(frozen=True)
class Folder:
    """A folder that all nodes of a lab share; *pool* is its name, and *reflink* says what its file system can."""

    lab: Lab
    pool: str
    reflink: bool

    @property
    def node(self) -> Node:
        """A node that sees the folder."""
        return self.lab.node(1)

    @property
    def path(self) -> str:
        """The folder of the pool, in a node."""
        return f"{FOLDER}/{self.pool}"

    def use(self) -> None:
        device = self._device() if self.reflink else None
        for node in self.lab.ganeti_nodes:
            node.run(["mkdir", "-p", "/srv/shared/archipelago"], timeout_s=30)
            node.run(["ln", "-sfn", "/srv/shared/archipelago", FOLDER], timeout_s=30)
            node.run(["mkdir", "-p", self.path], timeout_s=30)
            if device is not None:
                mount = f"mountpoint -q {self.path} || mount {device} {self.path}"
                node.run(["sh", "-c", mount], timeout_s=30)
            node.write(CONFIG, f'[storage]\ndriver = "file"\n[file]\npool = "{self.pool}"\n')

    def _device(self) -> str:
        """One loop device for all nodes, so that they have one file system and not three over the same bytes."""
        image = self.lab.places.shared / "reflink.xfs"
        if not image.exists():
            with image.open("wb") as stream:
                stream.truncate(_IMAGE_MIB << 20)
            run(["mkfs.xfs", "-q", "-m", "reflink=1", str(image)], timeout_s=60)
        found = run(["losetup", "--associated", str(image), "--noheadings", "--output=NAME"], timeout_s=30).split()
        return found[0] if found else run(["losetup", "--find", "--show", str(image)], timeout_s=30).strip()

    def names(self) -> list[str]:
        return [
            Path(name).stem for name in self._files() if Path(name).suffix == ".json" and name.startswith("volumes/")
        ]

    def _files(self) -> list[str]:
        listed = self.node.run(["find", self.path + "/", "-type", "f", "-printf", "%P\\n"], timeout_s=60)
        return [name for name in listed.splitlines() if not name.startswith("locks/")]

    def objects(self) -> frozenset[str]:
        return frozenset(self._files())

    def leftovers(self, before: frozenset[str]) -> frozenset[str]:
        return self.objects() - before

    def record(self, volume: str) -> Mapping[str, Any]:
        """What is kept beside the data of *volume*."""
        text = self.node.run(["cat", f"{self.path}/volumes/{volume}.json"], timeout_s=30)
        record = json.loads(text)
        assert isinstance(record, dict)
        return record

    def head(self, volume: str) -> str:
        """The file that *volume* is written to."""
        pool, _, name = self.record(volume)["chain"][0].partition("/")
        return f"{FOLDER}/{pool}/data/{name}"

    def size(self, volume: str) -> int:
        info = self.node.run(["qemu-img", "info", "-U", "--output=json", self.head(volume)], timeout_s=30)
        return int(json.loads(info)["virtual-size"])

    def owner(self, volume: str) -> str:
        return str(self.record(volume)["owner"])

    def shares(self, volume: str) -> bool:
        if self.reflink:
            return "shared" in self.node.run(["filefrag", "-v", self.head(volume)], timeout_s=30)
        return len(self.record(volume)["chain"]) > 1

    def used(self) -> int:
        self.node.run(["sync", "-f", self.path], timeout_s=60)
        if self.reflink:  # `du` counts what is shared once for each file
            listed = self.node.run(["stat", "-f", "-c", "%S %b %f", self.path], timeout_s=30)
            block, blocks, free = (int(word) for word in listed.split())
            return block * (blocks - free)
        return int(self.node.run(["du", "-s", "-B1", self.path], timeout_s=30).split()[0])

    def silent(self) -> Callable[[], object]:
        """Hide the folder from the node that the provider of a test is on: nobody can look into it."""
        self.node.run(["mount", "-t", "tmpfs", "none", FOLDER], timeout_s=30)
        return lambda: self.node.run(["umount", FOLDER], timeout_s=30)


def backend(lab: Lab, name: str) -> Backend:
    """The backend called *name*: rados, file or reflink."""
    return Store(lab) if name == "rados" else Folder(lab, name, name == "reflink")


@contextmanager
def used(lab: Lab, name: str) -> Iterator[Backend]:
    """The nodes keep their volumes in the backend called *name* for a while."""
    chosen = backend(lab, name)
    chosen.use()
    yield chosen
    Store(lab).use()
