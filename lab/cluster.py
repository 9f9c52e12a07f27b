# SPDX-License-Identifier: BSD-2-Clause
"""The Ganeti cluster on the lab's nodes: made once, nodes added, dead ones taken back."""

from __future__ import annotations

from collections.abc import Sequence

from ganeti_cloud.errors import CloudError, CommandError
from lab.network import BRIDGE
from lab.node import Node
from lab.spec import DOMAIN, Release

RAPI_USER = "lab"
RAPI_PASSWORD = "lab"  # of a cluster that nothing outside of its own switch can reach

_GNT_S = 120.0
_SPECS = (
    "min:memory-size=64,cpu-count=1,disk-count=0,disk-size=1,nic-count=0,spindle-use=1"
    "/max:memory-size=2048,cpu-count=4,disk-count=16,disk-size=65536,nic-count=8,spindle-use=12"
)


def kvm_parameters(release: Release, *, kvm: bool) -> str:
    """Hypervisor parameters of the cluster, as ``gnt-cluster init -H`` takes them."""
    parameters = {
        # QEMU called as "kvm" prefers KVM by itself, so both are needed to get the one that works.
        "kvm_path": "/usr/bin/kvm" if kvm else "/usr/bin/qemu-system-x86_64",
        "kvm_flag": "enabled" if kvm else "disabled",
        "vhost_net": "false",  # default of 3.1 is on, and a node has no /dev/vhost-net
        "kernel_path": "",  # instances boot from their disks
        "initrd_path": "",
        "serial_console": "true",
        "vnc_bind_address": "",
    }
    if release is Release.BOOKWORM:
        # QEMU 7.2 under TCG loses writes of a guest with network traffic while it migrates in several passes
        # (guest dead in 3 of 4); in one big pass it does not (10 of 10 fine).
        parameters |= {"migration_bandwidth": "4000", "migration_downtime": "20000"}
    return "kvm:" + ",".join(f"{key}={value}" for key, value in parameters.items())


def init_command(release: Release, *, kvm: bool) -> list[str]:
    """The whole ``gnt-cluster init``: the same for Ganeti 3.0 and 3.1."""
    return [
        "gnt-cluster",
        "init",
        "--enabled-hypervisors=kvm",
        f"--master-netdev={BRIDGE}",
        "--no-etc-hosts",
        "--enabled-disk-templates=ext,file,sharedfile,diskless",
        f"--nic-parameters=link={BRIDGE},mode=bridged",
        "--file-storage-dir=/srv/ganeti/file-storage",
        "--shared-file-storage-dir=/srv/ganeti/shared-file-storage",
        "--backend-parameters=minmem=128,maxmem=128,vcpus=1",
        f"--ipolicy-bounds-specs={_SPECS}",
        "--default-iallocator=hail",
        f"--hypervisor-parameters={kvm_parameters(release, kvm=kvm)}",
        f"cluster.{DOMAIN}",
    ]


def master(nodes: Sequence[Node]) -> Node | None:
    """The node that is master now, as the nodes that run say; None when there is no cluster yet."""
    for node in nodes:
        if not node.alive:
            continue
        try:
            name = node.run(["gnt-cluster", "getmaster"], timeout_s=_GNT_S).strip()
        except CommandError:
            continue  # not in the cluster
        return next((other for other in nodes if other.hostname == name), None)
    return None


def init(node: Node, release: Release, *, kvm: bool) -> None:
    """Make a cluster of *node* alone."""
    node.run(init_command(release, kvm=kvm), timeout_s=_GNT_S)
    users = f"{RAPI_USER} {{CLEARTEXT}}{RAPI_PASSWORD} write\n"
    # Renamed, because the daemon reads the file once when it sees it, and may not before it has its owner.
    node.write("/var/lib/ganeti/rapi/users.new", users, mode="0640", owner="gnt-rapi:gnt-masterd")
    node.run(["mv", "/var/lib/ganeti/rapi/users.new", "/var/lib/ganeti/rapi/users"], timeout_s=20)


def join(boss: Node, nodes: Sequence[Node]) -> list[str]:
    """Make all of *nodes* that run members in service. Returns what was done, a phrase for each node."""
    done = []
    flags = _members(boss)
    for node in nodes:
        if not node.alive or node.name == boss.name:
            continue
        offline = flags.get(node.hostname)
        if offline is False:
            continue
        _let_in(boss, node)
        again = ["--readd"] if offline else []
        boss.confirm(["gnt-node", "add", *again, "--no-ssh-key-check", node.hostname], timeout_s=_GNT_S)
        done.append(f"{node.name} {'taken back' if offline else 'added'}")
    return done


def _members(boss: Node) -> dict[str, bool]:
    text = boss.run(
        ["gnt-node", "list", "--no-headers", "--separator=|", "-o", "name,offline"],
        timeout_s=_GNT_S,
    )
    return parse_members(text)


def parse_members(text: str) -> dict[str, bool]:
    """``name|Y`` lines of gnt-node list: which node is a member, and whether it is marked offline."""
    pairs = (line.split("|") for line in text.splitlines() if line.strip())
    return {name: offline == "Y" for name, offline in pairs}


def _let_in(boss: Node, node: Node) -> None:
    keys = [path.read_text(encoding="utf-8") for path in sorted(boss.root.glob("root/.ssh/id_*.pub"))]
    if not keys:
        raise CloudError(f"{boss.name} has no ssh key", hint="gnt-cluster init makes one")
    node.write("/root/.ssh/authorized_keys", "".join(keys), mode="0600")
