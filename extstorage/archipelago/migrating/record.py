# SPDX-License-Identifier: BSD-2-Clause
"""Ganeti's record of a disk: found by the volume, and changed when the volume has moved.

Only the master has it for sure and can change it. From another node it is asked by ssh, in the way Ganeti's own
programs go from node to node.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from archipelago.ganeti.ssconf import DATA_FOLDER, cluster_name, master_node
from archipelago.running import PROVIDER
from ganeti_cloud.errors import RequestError, StorageError
from ganeti_cloud.process import run

_READ_S = 30.0
# A job can wait for a lock of the instance that another one holds.
_MODIFY_S = 600.0


class Disk(NamedTuple):
    """A disk of an instance: disk *number* of *instance*, whose primary node is *node*, and its *parameters*."""

    instance: str
    number: int
    node: str
    parameters: Mapping[str, str]


def find(volume: str) -> Disk:
    """The disk that *volume* is. Raises RequestError when no instance has such a disk, and CommandError when the
    master does not answer."""
    disk = found(json.loads(_on_master(["cat", f"{DATA_FOLDER}/config.data"], timeout_s=_READ_S)), volume)
    if disk is None:
        raise RequestError(
            f"no instance of Ganeti has the disk {volume}",
            hint="`gnt-instance info` shows the volumes of an instance as logical_id",
        )
    return disk


def found(config: Mapping[str, Any], volume: str) -> Disk | None:
    """The disk that *volume* is, in Ganeti's *config*."""
    for uuid, disk in config["disks"].items():
        if disk.get("logical_id") != [PROVIDER, volume]:
            continue
        for instance in config["instances"].values():
            if uuid in instance["disks"]:
                parameters = {
                    key: str(value) for key, value in disk["params"].items() if key not in ("provider", "access")
                }
                node = config["nodes"][instance["primary_node"]]["name"]
                return Disk(instance["name"], instance["disks"].index(uuid), node, parameters)
    return None


def change(disk: Disk, changes: Mapping[str, str]) -> None:
    """Have Ganeti set the parameters *changes* of *disk*; ``default`` takes one away. No script of a provider runs.

    Raises CommandError when the job fails or does not end.
    """
    if not changes:
        return
    words = ",".join(f"{key}={value}" for key, value in sorted(changes.items()))
    command = ["gnt-instance", "modify", "--disk", f"{disk.number}:{words}", disk.instance]
    hint = f"on the master run `{' '.join(command)}`, and then this again"
    _on_master(command, timeout_s=_MODIFY_S, hint=hint)


def is_this(node: str) -> bool:
    """Whether this is the *node* of that full name. No name server is asked."""
    host = os.uname().nodename
    return node == host or node.startswith(f"{host}.")


def _on_master(command: Sequence[str], *, timeout_s: float, hint: str = "") -> str:
    master = master_node()
    if not master:
        raise StorageError("this machine is no node of a Ganeti cluster", hint="run it on the node of the instance")
    if is_this(master):
        return run(command, timeout_s=timeout_s, hint=hint)
    ssh = ["ssh", "-oBatchMode=yes", "-oConnectTimeout=10", "-oStrictHostKeyChecking=yes"]
    ssh += [f"-oHostKeyAlias={cluster_name()}", f"-oGlobalKnownHostsFile={DATA_FOLDER}/known_hosts"]
    # No argument has white space or anything else that the shell over there would look at.
    return run([*ssh, "-oUserKnownHostsFile=/dev/null", f"root@{master}", *command], timeout_s=timeout_s, hint=hint)
