# SPDX-License-Identifier: BSD-2-Clause
"""A lab as a whole: up, down, and its nodes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ganeti_cloud.errors import CloudError, RequestError
from ganeti_cloud.files import replace_file
from lab import ceph, cluster, loops, rabbit, teardown
from lab.accel import kvm_works
from lab.layer import layer, packages_in
from lab.mounts import mount_layers
from lab.network import Network, check_unused, host_addresses
from lab.node import Node
from lab.places import TREE, Places
from lab.rootfs import MAKE_SETUP, base, locked
from lab.spec import STORE, LabSpec, Storage, check_name, grown
from lab.timeline import Say, Timeline, silent

DEBS = TREE / "dist"
_TOOLS = ("mmdebstrap", "mksquashfs", "unshare", "nsenter", "ip", "losetup", "mount", "qemu-system-x86_64")
# Booting is waiting for small programs: more at once than there are processors gains little.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that was made, whether its nodes run or not."""

    spec: LabSpec
    places: Places
    network: Network

    @classmethod
    def of(cls, spec: LabSpec) -> Self:
        return cls(spec, Places(spec.name), Network(spec.name, spec.plan))

    @classmethod
    def open(cls, name: str = "lab") -> Self:
        """The lab *name*. Raises RequestError when there is none."""
        check_name(name)
        try:
            text = Places(name).record.read_text(encoding="utf-8")
        except FileNotFoundError as err:
            raise RequestError(f"there is no lab {name!r}", hint=f"lab up --name {name}") from err
        return cls.of(LabSpec.from_json(text))

    @classmethod
    def up(cls, spec: LabSpec, *, debs: Path | None = None, say: Say = silent) -> Self:
        """Make the lab that *spec* asks for, or bring up what is missing of it, and return it ready for work.

        The packages in *debs* are installed on the Ganeti nodes; by default those of the lab's last ``up``, at first
        those in ``dist/``.
        """
        require_root()
        require_tools(_TOOLS)
        with locked(Places(spec.name).lock):
            lab = cls.of(_settled(spec))
            _Ascent(lab, Timeline(say)).climb(lab._record(debs))
        return lab

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes, the store last."""
        return tuple(Node(name, self.places, self.network) for name in self.spec.all_nodes)

    @property
    def ganeti_nodes(self) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if node.name != STORE)

    def node(self, which: int | str) -> Node:
        """Node 1, ``"node1"``, ``"1"`` or ``"store"``. Raises RequestError for one that the lab has not."""
        name = f"node{which}" if str(which).isdecimal() else str(which)
        for node in self.nodes:
            if node.name == name:
                return node
        raise RequestError(f"lab {self.spec.name!r} has no {name}", hint=f"it has {', '.join(self.spec.all_nodes)}")

    @property
    def master(self) -> Node:
        """The node that is Ganeti's master now."""
        boss = cluster.master(self.ganeti_nodes)
        if boss is None:
            raise CloudError("no node answers as master", hint=f"lab up --name {self.spec.name}")
        return boss

    def crash(self, which: int | str) -> None:
        """Cut the power of a node; :meth:`up` boots it again with the same disk. Safe to repeat."""
        node = self.node(which)
        with locked(self.places.lock):
            others = [other for other in self.nodes if other.name != node.name]
            mine = loops.of_node(self.spec.name, node.name, {other.name for other in others})
            node.crash()
            loops.detach(mine)

    def down(self) -> None:
        """Take everything of the lab away, its disks too. Safe to repeat."""
        down(self.spec.name)

    def _record(self, debs: Path | None) -> Path:
        """Remember what the lab is and where its packages come from; returns the latter."""
        for folder in (self.places.run, self.places.shared, self.places.ceph_data):
            folder.mkdir(parents=True, exist_ok=True)
        replace_file(self.places.record, self.spec.to_json(), mode=0o644)
        remembered = self.places.run / "debs"
        if debs is None:
            return Path(remembered.read_text(encoding="utf-8")) if remembered.exists() else DEBS
        replace_file(remembered, str(debs.resolve()))
        return debs


@dataclass(frozen=True, slots=True)
class _Ascent:
    """The steps of one ``up``."""

    lab: Lab
    timeline: Timeline

    def climb(self, debs: Path) -> None:
        spec = self.lab.spec
        kvm = kvm_works(spec.release, self.timeline)
        layers = self._layers(debs)
        self.lab.network.up()
        loops.detach(loops.orphans())
        with self.timeline.step(f"nodes up: {len(self.lab.nodes)}"):
            self._each(lambda node: self._boot(node, layers, kvm=kvm), self.lab.nodes)
        self._warn_of_failed_units()
        with ThreadPoolExecutor(2) as pool:
            store = pool.submit(self._store)
            self._ganeti(kvm=kvm)
            store.result()
        self.timeline.total(f"lab {spec.name!r} is up with {', '.join(spec.all_nodes)}")

    def _layers(self, debs: Path) -> list[Path]:
        """The mounted layers of a Ganeti node, the uppermost first; the last alone is the store's."""
        below = base(self.lab.spec.release, self.lab.spec.extra_packages, self.timeline)
        packages = packages_in(debs, self.lab.spec.release)
        if not packages:
            self.timeline.note(f"no packages in {debs}: the nodes are plain Ganeti nodes")
        above = [layer(below, packages, self.timeline)] if packages else []
        mounted, fresh = mount_layers(self.lab.places, [*above, below], self.lab.spec.memory_gib)
        if not fresh:
            self.timeline.note("the packages changed since this lab was made; lab down and up again takes the new ones")
        return mounted

    def _boot(self, node: Node, layers: Sequence[Path], *, kvm: bool) -> None:
        places = self.lab.places
        binds = [(places.shared, "/srv/shared")]
        if node.name == STORE:
            node.boot(layers[-1:], [*binds, (places.ceph_data, "/var/lib/lab-ceph")], kvm=False)
            return
        shared_disks = places.shared / "disks"
        shared_disks.mkdir(exist_ok=True)
        node.boot(layers, [*binds, (shared_disks, "/srv/ganeti/shared-file-storage")], kvm=kvm)

    def _warn_of_failed_units(self) -> None:
        for node in self.lab.nodes:
            failed = node.failed_units()
            if failed:
                self.timeline.note(f"{node.name}: failed: {', '.join(failed)}")

    def _store(self) -> None:
        spec = self.lab.spec
        if not spec.has_store:
            return
        store = self.lab.node(STORE)
        if spec.storage is Storage.RADOS:
            with self.timeline.step("Ceph ready"):
                ceph.up(store, ceph.plan_for(store, spec))
                self._each(lambda node: ceph.introduce(store, node), self.lab.nodes)
        if spec.rabbitmq:
            with self.timeline.step("RabbitMQ ready"):
                rabbit.up(store)

    def _ganeti(self, *, kvm: bool) -> None:
        nodes = self.lab.ganeti_nodes
        boss = cluster.master(nodes)
        if boss is None:
            with self.timeline.step("Ganeti cluster made"):
                cluster.init(nodes[0], self.lab.spec.release, kvm=kvm)
            boss = nodes[0]
        with self.timeline.step("Ganeti nodes in service"):
            for what in cluster.join(boss, nodes):
                self.timeline.note(what)

    def _each(self, work: Callable[[Node], object], nodes: Sequence[Node]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(work, nodes))


def _settled(spec: LabSpec) -> LabSpec:
    """*spec* as far as the lab that may be there already can become it. Raises RequestError when it cannot."""
    if Places(spec.name).record.exists():
        return grown(Lab.open(spec.name).spec, spec)
    check_unused(spec.plan, host_addresses())
    return spec


def down(name: str = "lab") -> None:
    """Take everything of the lab *name* away, also one that is half made, crashed, or without records."""
    require_root()
    check_name(name)
    places = Places(name)
    with locked(places.lock):
        teardown.remove(places)
    places.lock.unlink(missing_ok=True)


def require_root() -> None:
    if os.geteuid() != 0:
        raise RequestError("the lab needs root", hint="sudo lab/lab ...")


def require_tools(names: Sequence[str]) -> None:
    """Raises RequestError that names each of *names* which this machine has not."""
    missing = [name for name in names if shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin") is None]
    if missing:
        raise RequestError(f"this machine has no {', '.join(missing)}", hint=MAKE_SETUP)
