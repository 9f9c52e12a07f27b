# SPDX-License-Identifier: BSD-2-Clause
"""The demonstration: the life of one VM on a zero-copy clone, on a real cluster, with every claim checked."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass

from ganeti_cloud.errors import CloudError
from lab.ceph import data_bytes
from lab.console import GuestReport, guest_report
from lab.golden import GoldenImage, golden
from lab.lab import DEBS, Lab
from lab.layer import packages_in
from lab.node import Node
from lab.spec import DOMAIN, STORE, LabSpec, Release
from lab.timeline import Say, Timeline

NAME = "demo"
SUBNET = "198.51.100.0/24"
IMAGE = "lab-guest"
INSTANCE = f"inst1.{DOMAIN}"  # one of the names that every node can resolve, as Ganeti 3.0 asks for

_JOB_S = 300.0
# SeaBIOS, boot loader, kernel and a SHA-256 of the whole image, without hardware virtualisation.
_BOOT_S = 180.0
_MIB = 1 << 20
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Stored:
    """What the pool holds: the bytes of all data objects, and the names of the RBD images."""

    data_bytes: int
    names: tuple[str, ...]


def run_demo(release: Release, say: Say, *, keep: bool = False) -> None:
    """Show it all on *release*; *say* gets one line a step. Raises CloudError at the first thing that is not so.

    The lab is taken down at the end, and after a failure too, unless *keep*.
    """
    if not packages_in(DEBS, release):
        raise CloudError(f"there are no packages in {DEBS}", hint="make deb")
    spec = LabSpec(name=NAME, release=release, nodes=3, subnet=SUBNET)
    timeline = Timeline(say)
    try:
        image = golden(release, timeline)
        lab = Lab.up(spec, say=say)
        _Show(lab, Timeline(say), image).play()
    finally:
        if not keep:
            Lab.of(spec).down()
    timeline.total(f"everything checked on {release}: demo good")


@dataclass(frozen=True, slots=True)
class _Show:
    lab: Lab
    timeline: Timeline
    image: GoldenImage

    def play(self) -> None:
        node1, node2 = self.lab.node(1), self.lab.node(2)
        self._tell_versions(node1)
        self._import(node1)
        self._create(node1)
        before = self._boot(node1)
        after = self._migrate(node1, node2, before)
        self._grow(node2, after)
        self._remove(node1)

    def _tell_versions(self, node: Node) -> None:
        ganeti = node.run(["gnt-cluster", "--version"], timeout_s=_JOB_S).split()[-1]
        ceph = node.run(["ceph", "--version"], timeout_s=_JOB_S).split()[2]
        self.timeline.note(f"Ganeti {ganeti}, Ceph {ceph}, three nodes and a store")

    def _import(self, node: Node) -> None:
        shutil.copyfile(self.image.path, self.lab.places.shared / "golden.raw")
        with self.timeline.step(f"image {IMAGE} imported ({self.image.size_bytes // _MIB} MiB)"):
            argv = ["archipelago", "image", "import", "--json", IMAGE, "/srv/shared/golden.raw"]
            record = json.loads(node.run(argv, timeout_s=_JOB_S))
        _check("the catalogue's SHA-256 is that of the file", record["sha256"], self.image.sha256)
        _check("the image is in the store", self._stored().names, (record["holder"],))
        self.timeline.note(f"sha256 {self.image.sha256}")

    def _create(self, node: Node) -> None:
        before = self._stored()
        # Whole command lines, so that a reader can type them.
        disk = f"0:size=2G,provider=archipelago,origin={IMAGE}"
        argv = ["gnt-instance", "add", "-t", "ext", "--disk", disk, "-o", "noop", "-n", node.hostname, "--no-start"]
        argv += ["--net", "0:link=br-lan", INSTANCE]
        self.timeline.note(" ".join(argv))
        with self.timeline.step(f"{INSTANCE} created, its disk a clone of {IMAGE}"):
            node.run(argv, timeout_s=_JOB_S)
        after = self._stored()
        (volume,) = set(after.names) - set(before.names)
        info = json.loads(self._store_run(["rbd", "info", "--format=json", volume]))
        _check("the volume is a clone of the image", [info["parent"]["image"]], list(before.names))
        _check("the volume is 2 GiB large", info["size"], 2 * _GIB)
        _check("the clone wrote none of the image's data", after.data_bytes, before.data_bytes)
        self.timeline.note(f"bytes of data written to the pool by the clone: {after.data_bytes - before.data_bytes}")

    def _boot(self, node: Node) -> GuestReport:
        with self.timeline.step("guest booted from the clone and read its disk"):
            node.run(["gnt-instance", "start", INSTANCE], timeout_s=_JOB_S)
            report = guest_report(node, INSTANCE, timeout_s=_BOOT_S)
        _check("the guest's disk holds the image", report.image_sha256, self.image.sha256)
        self.timeline.note(f"guest says: sha256 {report.image_sha256}, uptime {report.uptime_s} s")
        return report

    def _migrate(self, source: Node, target: Node, before: GuestReport) -> GuestReport:
        begin = time.monotonic()
        with self.timeline.step(f"live-migrated from {source.name} to {target.name}"):
            argv = ["gnt-instance", "migrate", "-f", "-n", target.hostname, INSTANCE]
            self.lab.master.run(argv, timeout_s=_JOB_S)
            after = guest_report(target, INSTANCE, timeout_s=_BOOT_S)
        waited_s = time.monotonic() - begin
        if not before.uptime_s <= after.uptime_s <= before.uptime_s + waited_s + 2:
            raise CloudError(
                f"the guest's uptime went from {before.uptime_s} s to {after.uptime_s} s: it did not go on"
            )
        primary = self.lab.master.run(
            ["gnt-instance", "list", "--no-headers", "-o", "pnode", INSTANCE], timeout_s=_JOB_S
        ).strip()
        _check("Ganeti knows where the instance runs", primary, target.hostname)
        self.timeline.note(f"guest says: uptime {after.uptime_s} s, so it never stopped")
        return after

    def _grow(self, node: Node, before: GuestReport) -> None:
        with self.timeline.step("disk grown by 1 GiB"):
            self.lab.master.run(["gnt-instance", "grow-disk", INSTANCE, "0", "1G"], timeout_s=_JOB_S)
        if self.lab.spec.release is Release.BOOKWORM:
            # Ganeti 3.0 does not tell a running guest: the new size is there after the next start.
            with self.timeline.step("guest restarted, because Ganeti 3.0 tells a running one nothing"):
                stop = ["gnt-instance", "shutdown", "--timeout=30", INSTANCE]
                self.lab.master.run(stop, timeout_s=_JOB_S)
                self.lab.master.run(["gnt-instance", "start", INSTANCE], timeout_s=_JOB_S)
        report = guest_report(node, INSTANCE, timeout_s=_BOOT_S, disk_bytes=3 * _GIB)
        _check("the guest's disk still holds the image", report.image_sha256, self.image.sha256)
        self.timeline.note(
            f"guest says: disk {before.disk_bytes // _GIB} GiB before, {report.disk_bytes // _GIB} GiB now"
        )

    def _remove(self, node: Node) -> None:
        with self.timeline.step(f"{INSTANCE} removed"):
            node.run(["gnt-instance", "remove", "-f", "--shutdown-timeout=30", INSTANCE], timeout_s=_JOB_S)
        names = self._stored().names
        _check("nothing is left in the pool but the image", [name.startswith("image.") for name in names], [True])
        for each in self.lab.ganeti_nodes:
            _check(f"nothing is left on {each.name}", _mappings(each), "")
        self.timeline.note("left in the pool: the image; left on the nodes: nothing")

    def _stored(self) -> Stored:
        return Stored(data_bytes(self.lab.node(STORE)), tuple(sorted(self._store_run(["rbd", "ls"]).split())))

    def _store_run(self, argv: list[str]) -> str:
        return self.lab.node(STORE).run(argv, timeout_s=_JOB_S)


def _mappings(node: Node) -> str:
    return node.run(["find", "/run/ganeti-cloud/archipelago", "-name", "*.disk*"], timeout_s=_JOB_S)


def _check(claim: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise CloudError(f"not so: {claim}: found {found!r} in place of {wanted!r}")
