# SPDX-License-Identifier: BSD-2-Clause
"""Which packages of the release a node holds, and the key under which such a root file system is cached."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from lab.spec import Release

GANETI = """ganeti qemu-system-x86 qemu-utils qemu-block-extra openssh-server nftables iptables iproute2 iputils-ping
 fping ndisc6 bridge-utils socat"""

STORE = "ceph-mon ceph-osd ceph-mgr ceph-common python3-rados python3-rbd rbd-nbd rabbitmq-server"

# What our packages depend on: a node has no way to the network, so that all of it must be there before.
OURS = """python3-click python3-cryptography python3-jinja2 python3-jsonschema python3-netaddr
 python3-libnbd python3-pika python3-prometheus-client python3-pyinotify python3-requests python3-scapy
 python3-sqlalchemy python3-systemd python3-waitress python3-yaml adduser bubblewrap bzip2 debconf openssl"""

# What a helper VM for untrusted images is built from, and works with.
HELPER = """busybox-static cpio xz-utils zstd gdisk fdisk parted dosfstools e2fsprogs xfsprogs btrfs-progs ntfs-3g
 lvm2 mtools genisoimage file"""

# The release's own init, and what people and tests look around with.
TOOLS = """systemd systemd-sysv dbus kmod procps psmisc less curl jq strace tcpdump inotify-tools xxd python3-pytest
 bash-completion dhcpcd-base"""

ONLY_IN: dict[Release, str] = {
    Release.BOOKWORM: "libnetfilter-queue1",
    Release.TRIXIE: "python3-netfilterqueue",
}

# Layout of the cached file system; raise it when the way it is built changes.
_FORMAT = 1


def package_list(release: Release, extra: Iterable[str] = ()) -> tuple[str, ...]:
    """All packages that a node of *release* is made from, sorted, each once."""
    names = " ".join((GANETI, STORE, OURS, HELPER, TOOLS, ONLY_IN[release])).split()
    return tuple(sorted({*names, *extra}))


def base_key(release: Release, extra: Iterable[str] = ()) -> str:
    """Name of the cached root file system: the same list gives the same name."""
    text = f"{_FORMAT}\n" + "\n".join(package_list(release, extra))
    return f"{release}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
