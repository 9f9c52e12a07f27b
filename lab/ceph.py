# SPDX-License-Identifier: BSD-2-Clause
"""A real Ceph on the store: made, started, and made known to the nodes."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Sequence

from ganeti_cloud.errors import CloudError, CommandError
from lab.ceph_config import DATA, PORT, CephPlan, client_conf, make_keys, server_conf, units
from lab.node import Node
from lab.spec import LabSpec

POOL = "rbd"
USER = "ganeti"

_STEP_S = 60.0
_CONF = f"{DATA}/ceph.conf"
_CLIENTS = ("client.admin", "client.ganeti")


def plan_for(store: Node, spec: LabSpec) -> CephPlan:
    """The Ceph that *spec* asks for, with the identity of the one that is there already."""
    return CephPlan(
        address=store.address,
        fsid=_fsid(store) or str(uuid.uuid4()),
        osds=spec.osds,
        mgr=spec.mgr,
        options=spec.ceph_options,
    )


def up(store: Node, plan: CephPlan) -> bool:
    """Make Ceph, or start what of it does not run. Safe to repeat; False when all of it ran."""
    made = _fsid(store) is not None
    if made and all(_active(store, unit) for unit in _wanted(plan)):
        return False
    if made and plan.in_memory:
        # What was in memory is gone with its OSD, and a monitor that still knows of it would wait for it for ever.
        _forget(store)
        made = False
    if not made:
        _make(store, plan)
    for unit in _wanted(plan):
        store.run(["systemctl", "start", unit], timeout_s=_STEP_S)
        if unit == "lab-ceph-mon.service" and not made:
            _register(store, plan)
    _wait_for_osds(store, plan.osds)
    if not made:
        store.run(["ceph", "osd", "pool", "create", POOL], timeout_s=_STEP_S)
        store.run(["rbd", "pool", "init", POOL], timeout_s=_STEP_S)
    return True


def introduce(store: Node, node: Node) -> None:
    """Give *node* its ``/etc/ceph``: configuration and the keyrings of admin and ganeti. Safe to repeat."""
    for name in ("ceph.conf", *(f"ceph.{client}.keyring" for client in _CLIENTS)):
        text = store.run(["cat", f"{DATA}/clients/{name}"], timeout_s=_STEP_S)
        node.write(f"/etc/ceph/{name}", text, mode="0644" if name == "ceph.conf" else "0600")


def data_bytes(store: Node) -> int:
    """How much data the pool holds in all: that of copies, and of what only looks like a clone."""
    listed = store.run(["rados", "-p", POOL, "ls"], timeout_s=_STEP_S).split()
    data = [name for name in listed if name.startswith("rbd_data.")]
    stats = [store.run(["rados", "-p", POOL, "stat", name], timeout_s=_STEP_S) for name in data]
    return sum(int(stat.rpartition("size ")[2]) for stat in stats)


def _make(store: Node, plan: CephPlan) -> None:
    keys = make_keys(plan.osds)
    store.write(f"{DATA}/keyring", "".join(keys.values()), mode="0600")
    store.write(f"{DATA}/clients/ceph.conf", client_conf(plan))
    for client in _CLIENTS:
        store.write(f"{DATA}/clients/ceph.{client}.keyring", keys[client], mode="0600")
    introduce(store, store)
    for name, text in units(range(plan.osds)).items():
        store.write(f"/etc/systemd/system/{name}", text)
    store.run(["systemctl", "daemon-reload"], timeout_s=_STEP_S)
    store.run(["mkdir", "-p", f"{DATA}/mon", f"{DATA}/mgr"], timeout_s=_STEP_S)
    address = f"[v2:{plan.address}:{PORT}]"
    monmap = f"{DATA}/monmap"
    store.run(["monmaptool", "--create", "--fsid", plan.fsid, "--addv", "a", address, monmap], timeout_s=_STEP_S)
    # Last of the files: it tells that the rest is there.
    store.write(_CONF, server_conf(plan))
    mkfs = ["ceph-mon", "-c", _CONF, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", f"{DATA}/keyring"]
    store.run(mkfs, timeout_s=_STEP_S)


def _register(store: Node, plan: CephPlan) -> None:
    for number in range(plan.osds):
        identity = str(uuid.uuid4())
        store.run(["ceph", "osd", "new", identity], timeout_s=_STEP_S)
        store.run(["mkdir", "-p", f"{DATA}/osd{number}"], timeout_s=_STEP_S)
        mkfs = ["ceph-osd", "-c", _CONF, "-i", str(number), "--mkfs", "--osd-uuid", identity]
        store.run(mkfs, timeout_s=_STEP_S)


def _wanted(plan: CephPlan) -> Sequence[str]:
    names = ["lab-ceph-mon", *(["lab-ceph-mgr"] if plan.mgr else []), *(f"lab-ceph-osd{n}" for n in range(plan.osds))]
    return [f"{name}.service" for name in names]


def _active(store: Node, unit: str) -> bool:
    try:
        store.run(["systemctl", "is-active", unit], timeout_s=_STEP_S)
    except CommandError:
        return False
    return True


def _wait_for_osds(store: Node, wanted: int) -> None:
    end = time.monotonic() + _STEP_S
    while True:
        state = json.loads(store.run(["ceph", "osd", "stat", "--format", "json"], timeout_s=_STEP_S))
        if int(state["num_up_osds"]) >= wanted:
            return
        if time.monotonic() > end:
            raise CloudError(
                f"store: {state['num_up_osds']} of {wanted} OSDs are up after {_STEP_S:g} s",
                hint="lab exec store sh -c 'tail /var/log/ceph/*'",
            )
        time.sleep(0.05)


def _fsid(store: Node) -> str | None:
    try:
        text = store.run(["cat", _CONF], timeout_s=_STEP_S)
    except CommandError:
        return None
    found = re.search(r"^fsid = (\S+)$", text, flags=re.MULTILINE)
    return found.group(1) if found else None


def _forget(store: Node) -> None:
    units_all = ["lab-ceph-mon.service", "lab-ceph-mgr.service", "lab-ceph-osd0.service"]
    store.run(["systemctl", "stop", *units_all], timeout_s=_STEP_S)
    store.run(["find", DATA, "-mindepth", "1", "-delete"], timeout_s=_STEP_S)
