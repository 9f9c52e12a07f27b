# SPDX-License-Identifier: BSD-2-Clause
"""What an image says that its packages do not: the text files of each variant."""

from __future__ import annotations

from collections.abc import Iterator

from lab.images.partitions import of_use, partuuid
from lab.images.spec import HOSTNAME, MACHINE_ID, SUBVOLUMES, Filesystem, ImageSpec, Layout, Naming, Stack

LABEL = "system"

# As Debian's own images have them, where Debian has such images.
_NETWORK = {
    Stack.IFUPDOWN: (
        "etc/network/interfaces",
        "source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n",
    ),
    Stack.NETWORKD: (
        "etc/systemd/network/80-default.network",
        "[Match]\nName=en*\n\n[Network]\nDHCP=yes\n",
    ),
    Stack.NETPLAN: (
        "etc/netplan/90-default.yaml",
        "network:\n  version: 2\n  ethernets:\n    all-en:\n      match:\n        name: en*\n"
        "      dhcp4: true\n      dhcp6: true\n",
    ),
}
_PACKAGES = {
    Stack.IFUPDOWN: "ifupdown",
    Stack.NETPLAN: "netplan.io",
    Stack.NETWORK_MANAGER: "network-manager",
}
_CLOUD_INIT = "cloud-init"
# It looks for leftovers that a new guest has none of, for ten seconds where there is no KVM.
MASKED = ("e2scrub_reap.service",)


def unwanted_packages(spec: ImageSpec) -> tuple[str, ...]:
    """Of the packages that all images are made from, those that this one must not have."""
    wanted = {_PACKAGES.get(spec.stack), _CLOUD_INIT if spec.cloud_init else None}
    return tuple(name for name in (*_PACKAGES.values(), _CLOUD_INIT) if name not in wanted)


def units(spec: ImageSpec) -> tuple[str, ...]:
    """The units that have to be enabled."""
    return ("systemd-networkd.service",) if spec.stack is Stack.NETWORKD else ()


def root_name(spec: ImageSpec) -> str:
    """The root as fstab and the kernel's command line call it."""
    return {
        Naming.UUID: f"UUID={spec.uuid('root')}",
        Naming.LABEL: f"LABEL={LABEL}",
        Naming.PARTUUID: f"PARTUUID={'' if spec.layout is Layout.MBR_LVM else partuuid(spec)}",
        Naming.MAPPER: "/dev/mapper/vg0-root",
    }[spec.naming]


def files(spec: ImageSpec, kernel: str) -> Iterator[tuple[str, str]]:
    """Path and text of each file; *kernel* is the version of the kernel that is there."""
    yield "etc/hostname", f"{HOSTNAME}\n"
    yield "etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {HOSTNAME}\n::1 localhost ip6-localhost\n"
    yield "etc/resolv.conf", ""  # not that of the machine that made the tree
    yield "etc/machine-id", f"{MACHINE_ID}\n"
    yield "etc/fstab", "".join(f"{line}\n" for line in _fstab(spec))
    if spec.stack in _NETWORK and not spec.cloud_init:
        yield _NETWORK[spec.stack]
    if spec.cloud_init:
        # As Debian's own cloud images: without it cloud-init wants a locale that the image was not made with.
        yield "etc/cloud/cloud.cfg.d/01_debian_cloud.cfg", "locale: C.UTF-8\n"
    if spec.has_bootloader:
        yield "boot/grub/grub.cfg", _grub_config(spec, kernel)


def command_line(spec: ImageSpec) -> str:
    """The kernel's command line, from the root's name on."""
    words = [f"root={root_name(spec)}", "ro", "quiet", "console=ttyS0,115200"]
    if spec.filesystem is Filesystem.BTRFS:
        words.append(f"rootflags=subvol={SUBVOLUMES['/']}")
    if spec.stack is Stack.IFUPDOWN:
        words.append("net.ifnames=0")
    return " ".join(words)


def _fstab(spec: ImageSpec) -> Iterator[str]:
    name = root_name(spec)
    if spec.filesystem is Filesystem.BTRFS:
        for path, subvolume in SUBVOLUMES.items():
            yield f"{name} {path} btrfs defaults,subvol={subvolume} 0 0"
    else:
        yield f"{name} / {spec.filesystem} defaults 0 {0 if spec.filesystem is Filesystem.XFS else 1}"
    if of_use(spec, "boot") is not None:
        yield f"UUID={spec.uuid('boot')} /boot ext4 defaults 0 2"
    if of_use(spec, "swap") is not None:
        yield f"UUID={spec.uuid('swap')} none swap sw 0 0"


def _grub_config(spec: ImageSpec, kernel: str) -> str:
    folder, device = ("", "(hd0,msdos1)") if of_use(spec, "boot") is not None else ("/boot", "")
    if not device:
        device = "(hd0,msdos5)" if spec.layout is Layout.MBR_LOGICAL else "(hd0,gpt1)"
    return (
        f"set timeout=0\nset root={device}\n"
        "menuentry Debian {\n"
        f"  linux {folder}/vmlinuz-{kernel} {command_line(spec)}\n"
        f"  initrd {folder}/initrd.img-{kernel}\n"
        "}\n"
    )
