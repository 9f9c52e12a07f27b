# SPDX-License-Identifier: BSD-2-Clause
"""Which volumes are disks of Ganeti, by its own word: from the master daemon, or by RAPI from any other node."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from archipelago.ganeti.rapi import Rapi
from archipelago.ganeti.ssconf import DATA_FOLDER, cluster_name, master_node
from archipelago.parameters import Settings
from ganeti_cloud.errors import GanetiError
from ganeti_cloud.luxi import FINAL, SOCKET, Luxi

PROVIDER = "archipelago"

# What a disk that is attached to no instance says for its instance.
DETACHED = ""

_JOB_S = 120.0


class Usage(NamedTuple):
    """What Ganeti says at one moment.

    *disks* has the volume of each disk, with the instance it belongs to, or :data:`DETACHED`. *complete* is False when
    disks that are attached to no instance could not be seen. *busy_since* is when the oldest job that has not ended was
    submitted, in seconds since 1970; None when there is none.
    """

    cluster: str
    disks: Mapping[str, str]
    complete: bool
    busy_since: float | None


def asked(settings: Settings) -> Usage:
    """Ask Ganeti. Raises GanetiError when this node cannot."""
    if os.path.exists(SOCKET):
        return _of_master()
    if settings.rapi:
        return _of_rapi(settings)
    master = master_node()
    if not master:
        raise GanetiError(
            "this node belongs to no Ganeti cluster, so nobody can be asked which volumes are disks",
            hint="run the command on a node of the cluster",
        )
    raise GanetiError(
        f"this node is not the master of its Ganeti cluster, so it cannot ask which volumes are disks: {master} can",
        hint=f"run the command on {master}, or set [ganeti] rapi; see archipelago.toml(5)",
    )


def _of_master() -> Usage:
    opcode = {"OP_ID": "OP_INSTANCE_QUERY_DATA", "instances": [], "static": True, "use_locking": False}
    with Luxi() as luxi:
        # First the jobs: a disk made by one that has ended by now is among the disks asked for next.
        unfinished = ["&", *(["!", ["=", "status", status]] for status in sorted(FINAL))]
        jobs = luxi.query("job", ["received_ts"], unfinished)
        instances = luxi.run(opcode, source=PROVIDER, timeout_s=_JOB_S)
    disks = {**configured_disks(_configuration()), **disks_of(instances)}
    return Usage(cluster_name(), disks, complete=True, busy_since=_oldest(received for (received,) in jobs))


def _of_rapi(settings: Settings) -> Usage:
    rapi = Rapi(settings)
    jobs = [job for job in rapi.get("/2/jobs?bulk=1") if job["status"] not in FINAL]
    names = [instance["id"] for instance in rapi.get("/2/instances")]
    asked_for = [rapi.get(f"/2/instances/{name}/info?static=1") for name in names]
    disks: dict[str, str] = {}
    for job in asked_for:
        disks.update(disks_of(rapi.wait(job, timeout_s=_JOB_S)))
    return Usage(cluster_name(), disks, complete=False, busy_since=_oldest(job["received_ts"] for job in jobs))


def disks_of(instances: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The volumes in the result of Ganeti's opcode INSTANCE_QUERY_DATA, with their instances."""
    return {
        disk["logical_id"][1]: name
        for name, instance in instances.items()
        for disk in instance["disks"]
        if disk["dev_type"] == "ext" and disk["logical_id"][0] == PROVIDER
    }


def configured_disks(configuration: Mapping[str, Any]) -> dict[str, str]:
    """The volumes of all disks in Ganeti's *configuration*, with their instances: here are the detached ones, too."""
    owners = {
        identity: instance["name"]
        for instance in configuration["instances"].values()
        for identity in instance.get("disks", [])
    }
    return {
        disk["logical_id"][1]: owners.get(identity, DETACHED)
        for identity, disk in configuration["disks"].items()
        if disk["dev_type"] == "ext" and disk["logical_id"][0] == PROVIDER
    }


def _configuration() -> Mapping[str, Any]:
    path = f"{DATA_FOLDER}/config.data"
    try:
        with open(path, encoding="utf-8") as stream:
            configuration = json.load(stream)
        assert isinstance(configuration["disks"], dict)
    except (OSError, ValueError, KeyError) as err:
        raise GanetiError(f"{path} cannot be read ({err})", hint="run the command as root") from err
    return configuration  # type: ignore[no-any-return] # json.load() promises nothing


def _oldest(stamps: Iterable[list[int]]) -> float | None:
    """The least of Ganeti's time stamps, which are seconds and microseconds."""
    return min((seconds + micro / 1e6 for seconds, micro in stamps), default=None)
