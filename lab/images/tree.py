# SPDX-License-Identifier: BSD-2-Clause
"""The root file system that all images of a release are made from: installed once, kept as a tar archive."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run
from lab.places import CACHE
from lab.rootfs import MAKE_SETUP, locked, proxies
from lab.spec import Release
from lab.timeline import Timeline

# Each image drops the network stacks that it does not want.
_PACKAGES = """linux-image-cloud-amd64 initramfs-tools zstd systemd-sysv udev dbus openssh-server login passwd iproute2
 iputils-ping netbase kmod e2fsprogs xfsprogs btrfs-progs lvm2 ifupdown netplan.io network-manager cloud-init
 cloud-guest-utils""".split()
_DHCP_CLIENT = {Release.BOOKWORM: "isc-dhcp-client", Release.TRIXIE: "dhcpcd-base"}
_LEAVE_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")

# What an initrd needs on any of our disks and no more: each MiB of it costs seconds where there is no KVM.
_MODULES = "virtio_pci virtio_blk ext4 xfs btrfs crc32c_generic dm_mod"
_INITRAMFS = (
    'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"'
    ' && echo MODULES=list > "$1/etc/initramfs-tools/conf.d/lab"'
    f' && printf "%s\\n" {_MODULES} > "$1/usr/share/initramfs-tools/modules.d/lab"'
)
_FORMAT = 1
_BOOTSTRAP_S = 1800.0


@dataclass(frozen=True, slots=True)
class Tree:
    """The root file system as an archive, with the kernel and initrd in it as files of their own."""

    archive: Path
    kernel: Path
    initrd: Path
    version: str  # of the kernel


def tree(release: Release, timeline: Timeline) -> Tree:
    """The tree of *release*; made when it is not in the cache."""
    folder = CACHE / f"debian-{release}-{key(release)}"
    with locked(CACHE / f"debian-{release}.lock"):
        if not folder.exists():
            with timeline.step(f"Debian {release} installed for images"):
                _make(release, folder)
    (kernel,) = folder.glob("vmlinuz-*")
    version = kernel.name.removeprefix("vmlinuz-")
    return Tree(folder / "root.tar", kernel, folder / f"initrd.img-{version}", version)


def packages(release: Release) -> tuple[str, ...]:
    """All packages that are asked for."""
    return (*_PACKAGES, _DHCP_CLIENT[release])


def key(release: Release) -> str:
    """The same packages and settings give the same key."""
    text = f"{_FORMAT} {' '.join(packages(release))} {_LEAVE_OUT} {_INITRAMFS}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _make(release: Release, target: Path) -> None:
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    archive = temporary / "root.tar"
    argv = ["mmdebstrap", "--variant=minbase", "--format=tar", "--aptopt=APT::Install-Recommends false"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAVE_OUT]
    argv += [f"--essential-hook={_INITRAMFS}", f"--include={','.join(packages(release))}"]
    try:
        run([*argv, str(release), str(archive)], timeout_s=_BOOTSTRAP_S, env=proxies(), hint=MAKE_SETUP)
        _take_out(archive, temporary)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _take_out(archive: Path, folder: Path) -> None:
    """Put kernel and initrd beside the archive."""
    found = 0
    with tarfile.open(archive) as stream:
        for member in stream:
            name = Path(member.name).name
            if member.isreg() and member.name.startswith("./boot/") and name.startswith(("vmlinuz-", "initrd.img-")):
                content = stream.extractfile(member)
                assert content is not None
                (folder / name).write_bytes(content.read())
                found += 1
    if found != 2:
        raise CloudError(f"{archive}: {found} files in place of one kernel and one initrd")
