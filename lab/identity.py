# SPDX-License-Identifier: BSD-2-Clause
"""What makes a node this node and not another: files written once into its fresh root file system."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from lab.spec import STORE

# They would change settings of the kernel, which is the machine's and not the node's, or wait for hardware.
KERNEL_UNITS = (
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-pstore.service",
    "systemd-remount-fs.service",
    "systemd-sysctl.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
    "modprobe@.service",
    "kmod-static-nodes.service",
    "dev-hugepages.mount",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-networkd-wait-online.service",
)

# They have nothing to work on in a node, or would start things behind the back of a test.
IDLE_UNITS = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "blk-availability.service",
    "ceph.target",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty@tty1.service",
    "lvm2-lvmpolld.socket",
    "lvm2-monitor.service",
    "nvmefc-boot-connections.service",
    "nvmf-autoconnect.service",
    "rbdmap.service",
)

# The store is a node without Ganeti.
STORE_UNITS = ("ganeti.service",)

# Started when asked for only. Not masked: `lab rabbitmq` starts the packaged unit.
NOT_AT_BOOT = ("rabbitmq-server.service", "epmd.service", "epmd.socket")

FILE_STORAGE = ("/srv/ganeti/file-storage", "/srv/ganeti/shared-file-storage", "/srv/shared")

# An OS that installs nothing, for instances whose disks come with content (os definition API 20).
NOOP_OS = "srv/ganeti/os/noop"
_NOOP_SCRIPTS = ("create", "import", "export", "rename", "verify")


@dataclass(frozen=True, slots=True)
class Identity:
    """Name of a node and the text of its ``/etc/hosts``."""

    node: str
    hostname: str
    hosts: str


def masked_units(node: str) -> tuple[str, ...]:
    """Units that must never start in *node*."""
    return (*KERNEL_UNITS, *IDLE_UNITS, *(STORE_UNITS if node == STORE else ()))


def write_identity(root: Path, who: Identity) -> None:
    """Turn the pristine root file system at *root* into that of the node *who*."""
    _replace(root / "etc/hostname", f"{who.hostname}\n")
    _replace(root / "etc/hosts", who.hosts)
    _replace(root / "etc/resolv.conf", "")  # there is no way out, so asking a name server would only wait
    _replace(root / "etc/nsswitch.conf", only_files(_text(root / "etc/nsswitch.conf")))
    _replace(root / "etc/machine-id", f"{uuid.uuid4().hex}\n")
    # A log-in through PAM would start a user manager for each ssh of Ganeti.
    _replace(root / "etc/ssh/sshd_config.d/lab.conf", "UsePAM no\n")
    # Nothing to update on the first boot, ldconfig least of all: the packages did it (systemd-update-done.service).
    for folder in ("etc", "var"):
        _replace(root / folder / ".updated", "")
    _mask(root / "etc/systemd/system", who.node)
    _ganeti_files(root)


def only_files(nsswitch: str) -> str:
    """nsswitch.conf that looks host names up in ``/etc/hosts`` only."""
    if not re.search(r"^hosts:", nsswitch, flags=re.MULTILINE):
        return f"{nsswitch}hosts: files\n"
    return re.sub(r"^hosts:.*$", "hosts: files", nsswitch, flags=re.MULTILINE)


def rapi_for_all(defaults: str) -> str:
    """Debian's ``/etc/default/ganeti`` with RAPI on all addresses instead of loopback, still with authentication."""
    return re.sub(r"^RAPI_ARGS=.*$", 'RAPI_ARGS="-b 0.0.0.0 --require-authentication"', defaults, flags=re.MULTILINE)


def _ganeti_files(root: Path) -> None:
    for folder in (*FILE_STORAGE, "/srv/ganeti/os", "/srv/ganeti/extstorage", "/srv/ganeti/export"):
        (root / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    _replace(root / "etc/ganeti/file-storage-paths", "".join(f"{folder}\n" for folder in FILE_STORAGE))
    defaults = root / "etc/default/ganeti"
    if defaults.exists():
        _replace(defaults, rapi_for_all(_text(defaults)))
    _noop_os(root / NOOP_OS)
    (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)


def _noop_os(folder: Path) -> None:
    _replace(folder / "ganeti_api_version", "20\n")
    _replace(folder / "parameters.list", "")
    for name in _NOOP_SCRIPTS:
        _replace(folder / name, "#!/bin/sh\nexit 0\n")
        (folder / name).chmod(0o755)


def _mask(units: Path, node: str) -> None:
    for unit in masked_units(node):
        link = units / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    for target in units.glob("*.wants"):
        for unit in NOT_AT_BOOT:
            (target / unit).unlink(missing_ok=True)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # it may be a link that leads out of the node
    path.write_text(text, encoding="utf-8")
