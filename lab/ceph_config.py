# SPDX-License-Identifier: BSD-2-Clause
"""The texts of a small, quick, single-machine Ceph: configurations and keys."""

from __future__ import annotations

import base64
import secrets
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

DATA = "/var/lib/lab-ceph"
PORT = 3300

_ADMIN = {"mon": "allow *", "osd": "allow *", "mgr": "allow *"}
_OSD = {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"}
# As little as a provider needs: images of any pool, no pools, no settings.
_GANETI = {"mon": "profile rbd", "osd": "profile rbd", "mgr": "profile rbd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CephPlan:
    """One Ceph: a monitor, some OSDs, perhaps a manager, all on one node."""

    address: str
    fsid: str
    osds: int = 1
    mgr: bool = False
    options: tuple[tuple[str, str], ...] = ()

    @property
    def in_memory(self) -> bool:
        """One OSD lives in memory and forgets all when it ends; three are on disk and can be restarted."""
        return self.osds == 1

    @property
    def copies(self) -> int:
        return 1 if self.osds == 1 else 2


def _shared(plan: CephPlan) -> dict[str, str]:
    return {
        "fsid": plan.fsid,
        "mon_host": f"v2:{plan.address}:{PORT}/0",
        "auth_cluster_required": "cephx",
        "auth_service_required": "cephx",
        "auth_client_required": "cephx",
        "ms_bind_ipv6": "false",
    }


def _section(name: str, entries: Mapping[str, str]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in entries.items())


def client_conf(plan: CephPlan) -> str:
    """``/etc/ceph/ceph.conf`` of every node.

    No rados_*_op_timeout here: QEMU reads this file, and with them a stall becomes an I/O error of the guest.
    """
    client = {"keyring": "/etc/ceph/$cluster.$name.keyring", "log_file": "", "admin_socket": ""}
    return _section("global", _shared(plan) | dict(plan.options)) + _section("client", client)


def server_conf(plan: CephPlan) -> str:
    """The configuration of the daemons."""
    common = _shared(plan) | {
        "auth_allow_insecure_global_id_reclaim": "false",
        "keyring": f"{DATA}/keyring",
        "public_addr": plan.address,
        "cluster_addr": plan.address,
        "ms_bind_msgr1": "false",
        "osd_pool_default_size": str(plan.copies),
        "osd_pool_default_min_size": "1",
        "osd_pool_default_pg_num": "8",
        "osd_pool_default_pg_autoscale_mode": "off",
        "osd_crush_chooseleaf_type": "0",
        "osd_crush_initial_weight": "1",
        "mon_allow_pool_delete": "true",
        "mon_allow_pool_size_one": "true",
        "mon_warn_on_pool_no_redundancy": "false",
        "mon_max_pg_per_osd": "1000",
        "mon_data_avail_crit": "1",
        "mon_data_avail_warn": "2",
        # Makes clone v2 the default from the first minute.
        "mon_osd_initial_require_min_compat_client": "mimic",
        # Every write of the monitor waits that long; with the default of 1 s the start takes 9 s.
        "paxos_propose_interval": "0.01",
        "paxos_min_wait": "0.01",
        "mon_tick_interval": "2",
        "osd_mon_shutdown_timeout": "1",
        # All OSDs are on one host, and by default two hosts must report a hung one.
        "mon_osd_min_down_reporters": "1",
    }
    if plan.copies == 1:
        # In multiples of osd_heartbeat_grace (20 s). A lease keeps a second OSD from answering for the first, and here
        # is no second one. A placement group whose only OSD slept through its lease (0.8 * 20 s: a store that a test
        # stops for a while) waits for an acknowledgement that nobody sends: laggy for ever (seen with 18.2).
        common["osd_pool_default_read_lease_ratio"] = "1000"
    osd = {
        "osd_data": f"{DATA}/osd$id",
        "osd_objectstore": "memstore" if plan.in_memory else "bluestore",
        "memstore_device_bytes": "8G",
        "bluestore_block_size": "20G",  # a sparse file
        "bluestore_fsck_on_mount": "false",
        "bluestore_fsck_on_mkfs": "false",
        "bdev_aio_poll_ms": "5",  # some 15 closes at the start wait for it; default 250
        "osd_memory_target": "939524096",
    }
    return (
        _section("global", common | dict(plan.options))
        + _section("mon", {"mon_data": f"{DATA}/mon"})
        + _section("osd", osd)
        + _section("mgr", {"mgr_data": f"{DATA}/mgr", "mgr_initial_modules": ""})
    )


def make_key(*, random: Callable[[int], bytes] = secrets.token_bytes, now_s: float | None = None) -> str:
    """A cephx secret: type 1 (AES), time, length and 16 bytes (Ceph's CryptoKey::encode)."""
    key = random(16)
    stamp = int(time.time() if now_s is None else now_s)
    return base64.b64encode(struct.pack("<hiih", 1, stamp, 0, len(key)) + key).decode()


def make_keys(osds: int) -> dict[str, str]:
    """Each entity's part of the keyring, by its name.

    The monitor takes them all when it is made, which saves an `auth add` for each.
    """
    caps: dict[str, Mapping[str, str]] = {
        "mon.": {"mon": "allow *"},
        "client.admin": _ADMIN,
        "client.ganeti": _GANETI,
        "mgr.x": {"mon": "allow profile mgr", "osd": "allow *"},
        **{f"osd.{number}": _OSD for number in range(osds)},
    }
    return {entity: _keyring_part(entity, rights) for entity, rights in caps.items()}


def _keyring_part(entity: str, rights: Mapping[str, str]) -> str:
    lines = [f"[{entity}]", f"\tkey = {make_key()}"]
    lines += [f'\tcaps {service} = "{right}"' for service, right in rights.items()]
    return "\n".join(lines) + "\n"


def units(osds: Sequence[int]) -> dict[str, str]:
    """systemd units of the daemons. They do not start again by themselves: a test kills them to see what happens."""
    programs = {
        "lab-ceph-mon": "ceph-mon -f -i a",
        "lab-ceph-mgr": "ceph-mgr -f -i x",
        **{f"lab-ceph-osd{number}": f"ceph-osd -f -i {number}" for number in osds},
    }
    return {f"{name}.service": _unit(program) for name, program in programs.items()}


def _unit(program: str) -> str:
    return (
        f"[Unit]\nDescription=Lab: {program}\n\n"
        f"[Service]\nType=exec\nExecStart=/usr/bin/{program} -c {DATA}/ceph.conf\n"
        "LimitNOFILE=1048576\nKillMode=process\n"
    )
