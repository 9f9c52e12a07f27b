# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the lab tier have in common: calling scripts as noded does, and looking at the cluster."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.ceph import data_bytes
from lab.lab import Lab
from lab.node import Node
from lab.spec import STORE

CONFIG = "/etc/ganeti-cloud/archipelago.toml"
SCRIPTS = "/usr/share/ganeti/extstorage/archipelago"
MIB = 1 << 20
# More than any call may take; one that needs it has hung.
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Result:
    """How a program ended."""

    status: int
    stdout: str
    stderr: str
    seconds: float


def call(node: Node, argv: list[str], *, timeout_s: float = PATIENCE_S) -> Result:
    """Run *argv* in *node*, whatever its end."""
    begin = time.monotonic()
    done = subprocess.run(
        node.argv(argv), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    return Result(done.returncode, done.stdout, done.stderr, time.monotonic() - begin)


def archipelago(node: Node, *arguments: str) -> Result:
    """Run the program of the administrator in *node*, whatever its end."""
    return call(node, ["archipelago", *arguments])


def told(node: Node, *arguments: str) -> Any:
    """What the program of the administrator, which must succeed, prints as JSON."""
    result = archipelago(node, *arguments, "--json")
    assert result.status == 0, result
    return json.loads(result.stdout)


def volumes_of(lab: Lab, instance: str) -> list[str]:
    """The volumes of the disks of *instance*, in order, as Ganeti's configuration has them."""
    config = json.loads(lab.master.run(["cat", "/var/lib/ganeti/config.data"], timeout_s=60))
    [disks] = [each["disks"] for each in config["instances"].values() if each["name"] == instance]
    return [config["disks"][uuid]["logical_id"][1] for uuid in disks]


@contextmanager
def imported(lab: Lab, name: str, path: Path) -> Iterator[None]:
    """The file *path* is the image *name* for a while."""
    node = lab.node(1)
    node.run(["archipelago", "image", "import", name, Store(lab).put(path)], timeout_s=120)
    yield
    node.run(["archipelago", "image", "remove", name], timeout_s=60)


@dataclass
class Provider:
    """The ten scripts for one volume, called with the environment that Ganeti gives them."""

    node: Node
    volume: str
    parameters: dict[str, str] = field(default_factory=dict)

    def __call__(self, verb: str, **env: str) -> Result:
        given = {
            "VOL_NAME": self.volume,
            "VOL_UUID": "0a1b2c3d-0000-4000-8000-000000000001",
            "EXTP_PROVIDER": "archipelago",
            "EXTP_ACCESS": "kernelspace",
            **{f"EXTP_{key.upper()}": value for key, value in self.parameters.items()},
            **env,
        }
        return call(self.node, ["env", *(f"{key}={value}" for key, value in given.items()), f"{SCRIPTS}/{verb}"])

    def ok(self, verb: str, **env: str) -> str:
        """Run *verb*, which must succeed; its stdout."""
        result = self(verb, **env)
        assert result.status == 0, result
        return result.stdout

    def traces(self) -> list[str]:
        """What of the volume is left on the node: records, files, daemons, loop devices."""
        script = (
            f"ls /run/ganeti-cloud/archipelago | grep -F {self.volume}; "
            f"pgrep -fa {self.volume}; cat /sys/block/loop*/loop/backing_file | grep -F {self.volume}; true"
        )
        found = call(self.node, ["sh", "-c", script]).stdout.splitlines()
        return [line for line in found if "pgrep" not in line]


@dataclass(frozen=True)
class Store:
    """The Ceph of a lab, seen with the eyes of its administrator."""

    lab: Lab

    @property
    def node(self) -> Node:
        """The node that Ceph runs on."""
        return self.lab.node(STORE)

    def names(self) -> list[str]:
        """All RBD images in the pool."""
        return self.node.run(["rbd", "ls"], timeout_s=60).split()

    def objects(self) -> frozenset[str]:
        """The names of all objects in the pool: what is left behind shows here, listed or not."""
        listed = self.node.run(["rados", "-p", "rbd", "ls"], timeout_s=60).split()
        lasting = {
            "rbd_directory",
            "rbd_info",
            "rbd_children",
            "rbd_trash",
            "ganeti-cloud.catalogue",
            "ganeti-cloud.flatten",
        }  # once made, they stay
        return frozenset(listed) - lasting

    def leftovers(self, before: frozenset[str]) -> frozenset[str]:
        """The objects that were not there *before*; what was in a snapshot has 30 s to go, for Ceph trims it later."""
        end = time.monotonic() + 30
        while (left := self.objects() - before) and time.monotonic() < end:
            time.sleep(0.3)
        return left

    def info(self, name: str) -> Mapping[str, object]:
        """``rbd info`` of *name*."""
        info = json.loads(self.node.run(["rbd", "info", "--format=json", name], timeout_s=60))
        assert isinstance(info, dict)
        return info

    def use(self) -> None:
        """Make the nodes keep their volumes here."""
        for node in self.lab.ganeti_nodes:
            node.run(["rm", "-f", CONFIG], timeout_s=30)

    def size(self, volume: str) -> int:
        """The size of *volume* in bytes."""
        size = self.info(volume)["size"]
        assert isinstance(size, int)
        return size

    def owner(self, volume: str) -> str:
        """What Ganeti said of whose *volume* is."""
        key = "ganeti-cloud.volume.metadata"
        return self.node.run(["rbd", "image-meta", "get", volume, key], timeout_s=30).strip()

    def shares(self, volume: str) -> bool:
        """Whether *volume* shares data with its parent."""
        return "parent" in self.info(volume)

    def used(self) -> int:
        """Bytes that are taken by data."""
        return data_bytes(self.node)

    def silent(self) -> Callable[[], object]:
        """Stop answering; returns what ends that."""
        units = ["lab-ceph-mon", "lab-ceph-osd0"]
        self.node.run(["systemctl", "kill", "--signal=STOP", *units], timeout_s=30)
        return lambda: self.node.run(["systemctl", "kill", "--signal=CONT", *units], timeout_s=30)

    def put(self, path: Path) -> str:
        """Where the nodes see the file *path* of this machine, which is copied for them."""
        target = self.lab.places.shared / path.name
        target.write_bytes(path.read_bytes())
        return f"/srv/shared/{path.name}"

    def wait_for_flag(self, flag: str, *, there: bool) -> None:
        """Wait until the pool has *flag*, or has it no more."""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            pools = json.loads(self.node.run(["ceph", "osd", "dump", "--format=json"], timeout_s=60))["pools"]
            if (flag in pools[0]["flags_names"].split(",")) is there:
                return
            time.sleep(0.5)
        raise AssertionError(f"flag {flag} of the pool did not become {there}")


class Archipelago:
    """The program on node 1; the images that a test makes are gone at its end."""

    def __init__(self, lab: Lab, store: Store) -> None:
        self.node, self.store = lab.node(1), store

    def __call__(self, *words: str) -> Result:
        return call(self.node, ["archipelago", *words])

    def ok(self, *words: str) -> str:
        result = self(*words)
        assert result.status == 0, result
        return result.stdout

    def json(self, *words: str) -> dict[str, object]:
        told = json.loads(self.ok(*words, "--json"))
        assert isinstance(told, dict)
        return told

    def list(self, *words: str) -> list[tuple[str, str]]:
        return [(each["name"], each["sha256"]) for each in json.loads(self.ok("image", "list", *words, "--json"))]

    def exported(self, name: str) -> str:
        """The SHA-256 of what the image *name* is when it comes out of a pipe."""
        return call(self.node, ["sh", "-c", f"archipelago image export {name} - | sha256sum"]).stdout.split()[0]

    def refused(self, *words: str) -> str:
        """The error of a call that must fail in two lines."""
        result = self(*words)
        lines = [line for line in result.stderr.splitlines() if " %" not in line]
        assert (result.status, len(lines), lines[-1].startswith("hint: ")) == (1, 2, True), result
        return lines[0].removeprefix("error: ")


class Put:
    """Makes files that the nodes see."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def __call__(self, name: str, content: bytes) -> str:
        (self.folder / name).write_bytes(content)
        return self.store.put(self.folder / name)
