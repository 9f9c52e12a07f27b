# SPDX-License-Identifier: BSD-2-Clause
"""What QEMU does for a move: it mirrors a disk to another device while the guest writes, and goes over to it.

QEMU's names for it are made of the move's token. The new device is the node ``move-<token>`` on ``move-<token>-file``;
the job is ``move-<token>``. Each method opens the monitor for a moment only, because Ganeti asks there as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from archipelago.migrating.steps import Job
from archipelago.running import Running
from ganeti_cloud import qmp
from ganeti_cloud.errors import StorageError

# A job that is asked to end waits for what is on its way to both devices.
_END_S = 60.0
_LOOK_S = 0.1


class Drive(NamedTuple):
    """A disk of the guest: the *node* that it reads and writes, the path of the device behind (*file*), and the object
    in QEMU that is the guest's device (*qdev*). *named* tells that the drive has a name of its own, as those of
    Ganeti 3.0 have, so that the name of the node does not matter."""

    node: str
    file: str
    qdev: str
    named: bool


class State(NamedTuple):
    """What a job does: *percent* is how much it has copied, *error* why it failed."""

    job: Job
    percent: float
    error: str


class Mirror:
    """The mirror job of the move *token* in the QEMU of *running*, from *old* to *new*, which are devices."""

    def __init__(self, running: Running, token: str, old: str | None, new: str | None) -> None:
        self._running = running
        self.name = f"move-{token}"
        self._file = f"{self.name}-file"
        self._old = old
        self._new = new

    def drive(self) -> Drive:
        """The disk. Raises StorageError when QEMU has none such."""
        with self._monitor() as client:
            return self._drive(client)

    def state(self) -> State:
        """What the job does now."""
        with self._monitor() as client:
            return state(client.execute("query-jobs"), client.execute("query-block-jobs"), self.name)

    def refuse_busy(self) -> None:
        """Raise StorageError when QEMU is at something that a mirror would disturb."""
        with self._monitor() as client:
            jobs = [job["id"] for job in client.execute("query-jobs") if job["id"] != self.name]
            migrating = client.execute("query-migrate").get("status")
        if jobs:
            raise StorageError(
                f"QEMU of {self._running.instance} is busy with another job: {', '.join(jobs)}",
                hint="wait for its end (query-jobs in its monitor shows it), and try again",
            )
        if migrating in ("setup", "active", "device", "pre-switchover", "postcopy-active"):
            raise StorageError(
                f"instance {self._running.instance} is being migrated to another node",
                hint="wait for its end, and try again there",
            )

    def start(self) -> None:
        """Begin to copy all of the old device to the new one. What an earlier try left is cleared away first."""
        assert self._new is not None
        with self._monitor() as client:
            drive = self._drive(client)
            self._clear(client)
            client.execute("blockdev-add", self._target(self._new))
            # Where it can be changed later, the guest waits for the new place only at the very end.
            changeable = _can(client, "block-job-change")
            client.execute(
                "blockdev-mirror",
                {
                    "job-id": self.name,
                    "device": drive.node,
                    "target": self.name,
                    "sync": "full",
                    "copy-mode": "background" if changeable else "write-blocking",
                    "on-source-error": "report",
                    "on-target-error": "report",  # the job ends and the guest goes on, on the old device
                    "auto-dismiss": False,
                },
            )

    def arm(self) -> None:
        """From now on a write of the guest ends only when both devices have it."""
        with self._monitor() as client:
            client.execute("block-job-change", {"id": self.name, "type": "mirror", "copy-mode": "write-blocking"})

    def complete(self) -> None:
        """Have QEMU go over to the new device; returns when the job has ended, well or not."""
        with self._monitor() as client:
            client.execute("job-complete", {"id": self.name})
        self._wait_for_end()

    def cancel(self) -> None:
        """End the job, if there is one, and let QEMU close the new device. The guest stays on the old one."""
        if self.state().job not in (Job.NONE, Job.FAILED):
            with self._monitor() as client:
                client.execute("block-job-cancel", {"device": self.name, "force": True})
            self._wait_for_end()
        with self._monitor() as client:
            self._clear(client)

    def settle(self) -> None:
        """After QEMU went over: let it close the old device, and give the new one the name that Ganeti knows the disk
        by, so that it can still be unplugged and resized."""
        with self._monitor() as client:
            drive = self._drive(client)
            if drive.node == self.name:
                self._take_name(client, drive)
            self._clear(client)

    def _take_name(self, client: qmp.Client, drive: Drive) -> None:
        """Put the guest on a node that goes away with its disk. The node of the mirror would stay: it was added by
        hand. Ganeti 3.1 takes a disk away under the name it gave the node, 3.0 leaves that to QEMU."""
        if drive.named:
            wanted = self._file
        else:
            wanted = self._running.device
            known = {node["node-name"]: node["file"] for node in _nodes(client)}
            if known.get(wanted, self._new) != self._new:
                client.execute("blockdev-del", {"node-name": wanted})
                del known[wanted]
            if wanted not in known:
                client.execute("blockdev-add", self._as_ganeti(wanted))
        client.execute("qom-set", {"path": drive.qdev, "property": "drive", "value": wanted})

    def _target(self, device: str) -> dict[str, Any]:
        """The node that is mirrored to. Zeros become holes in it, or it would take all its size."""
        options = {"discard": "unmap", "detect-zeroes": "unmap", "auto-read-only": False, "cache": {"direct": True}}
        file = {"driver": "host_device", "node-name": self._file, "filename": device, "aio": self._running.aio}
        return {"driver": "raw", "node-name": self.name, **options, "file": {**file, "cache": {"direct": True}}}

    def _as_ganeti(self, name: str) -> dict[str, Any]:
        """The node as Ganeti's -blockdev has it, but on the device that is open."""
        options = {"discard": self._running.discard, "auto-read-only": False, "cache": {"direct": True}}
        return {"driver": "raw", "node-name": name, **options, "file": self._file}

    def _clear(self, client: qmp.Client) -> None:
        """Take away a job that has ended and the node of the mirror, if nothing uses them."""
        if any(job["id"] == self.name for job in client.execute("query-jobs")):
            client.execute("job-dismiss", {"id": self.name})
        if any(node["node-name"] == self.name for node in _nodes(client)):
            client.execute("blockdev-del", {"node-name": self.name})

    def _drive(self, client: qmp.Client) -> Drive:
        files = (self._running.link, self._old, self._new)
        found = drive_of(client.execute("query-block"), self._running.device, (self.name, self._file), files)
        if found is None:
            raise StorageError(
                f"QEMU of {self._running.instance} has no disk {self._running.number} that could be mirrored",
                hint="it may have been unplugged; see `query-block` in its monitor",
            )
        return found

    def _wait_for_end(self) -> None:
        end = time.monotonic() + _END_S
        while self.state().job not in (Job.NONE, Job.FAILED):
            if time.monotonic() > end:
                raise StorageError(
                    f"QEMU's job {self.name} did not end within {_END_S:g} s",
                    hint="one of the two stores does not answer; run the command again when it does",
                )
            time.sleep(_LOOK_S)

    @contextmanager
    def _monitor(self) -> Iterator[qmp.Client]:
        with qmp.monitor(self._running.monitor) as client:
            yield client


def state(jobs: Sequence[Mapping[str, Any]], block_jobs: Sequence[Mapping[str, Any]], name: str) -> State:
    """What the job *name* does, by QEMU's *jobs* and *block_jobs*. One that has ended is NONE when it did so well."""
    for job in jobs:
        if job["id"] != name:
            continue
        if job["status"] in ("concluded", "null"):
            error = str(job.get("error", ""))
            return State(Job.FAILED if error else Job.NONE, 100.0, error)
        percent = 100.0 * job["current-progress"] / max(1, job["total-progress"])
        for block_job in block_jobs:
            if block_job["device"] == name and block_job["ready"]:
                # Before QEMU 8.2 there is no such key; there the job waits for both devices from its beginning.
                synced = block_job.get("actively-synced", True)
                return State(Job.SYNCED if synced else Job.READY, percent, "")
        return State(Job.COPYING, percent, "")
    return State(Job.NONE, 0.0, "")


def drive_of(
    blocks: Sequence[Mapping[str, Any]], device: str, nodes: Sequence[str], files: Sequence[str | None]
) -> Drive | None:
    """The disk in the answer *blocks* to query-block that Ganeti calls *device*, or that is on one of *nodes* or
    *files*; None when there is none."""
    for block in blocks:
        medium, qdev = block.get("inserted"), str(block.get("qdev", ""))
        if medium is None:
            continue
        names = (block["device"], medium["node-name"], *qdev.split("/"))
        if (device and device in names) or medium["node-name"] in nodes or medium["file"] in files:
            return Drive(medium["node-name"], medium["file"], qdev, bool(block["device"]))
    return None


def _nodes(client: qmp.Client) -> list[Mapping[str, Any]]:
    nodes = client.execute("query-named-block-nodes", {"flat": True})
    assert isinstance(nodes, list)
    return nodes


def _can(client: qmp.Client, command: str) -> bool:
    return any(known["name"] == command for known in client.execute("query-commands"))
