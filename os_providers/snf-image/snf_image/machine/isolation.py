# SPDX-License-Identifier: BSD-2-Clause
"""What QEMU may still do should a guest get hold of it: next to nothing. See bwrap(1), setpriv(1), prlimit(1).

It sees /usr to read, an empty /dev and the helper image; it has no network, no right and no process of others, runs as
a user of its own, and can neither become another nor use more than its share of memory and processor.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud.errors import CloudError
from snf_image.machine import command
from snf_image.machine.image import HelperImage

KVM = Path("/dev/kvm")

# QEMU reserves more than it uses: stacks of its threads, the allocator's arenas, translated code.
_BESIDES_MIB = 3072
_FILES = 128
# The soft limit of the processor ends QEMU by a signal that tells why, see setrlimit(2); the hard one just kills.
_GRACE_S = 5

_NAMESPACES = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
_SYSTEM = ["--ro-bind", "/usr", "/usr", "--dev", "/dev", "--chdir", "/"]
_LINKS = ("bin", "sbin", "lib", "lib64")
# For setpriv alone, which gives all of them up.
_RIGHTS = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")


class Account(NamedTuple):
    """Whom QEMU runs as; *groups* are those besides its own."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def account(user: str, *, kvm: bool) -> Account:
    """The account of *user*; with *kvm*, with the group that may use it. Raises CloudError when there is none."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError as err:
        hint = "installing ganeti-os-snf-image makes the user snf-image; the setting is [machine] user"
        raise CloudError(f"there is no user {user!r} for the helper machine", hint=hint) from err
    if entry.pw_uid == 0:
        raise CloudError("the helper machine does not run as root", hint="name another user as [machine] user")
    return Account(entry.pw_uid, entry.pw_gid, _kvm_groups() if kvm else ())


def _kvm_groups() -> tuple[int, ...]:
    seen = os.stat(KVM)
    return (seen.st_gid,) if seen.st_mode & stat.S_IWGRP and seen.st_gid != 0 else ()


def isolated(
    argv: Sequence[str], image: HelperImage, who: Account, *, memory_mib: int, cpu_limit_s: int, kvm: bool
) -> list[str]:
    """*argv*, to be run as root: it gets the *image* where :mod:`command` says, and /dev/kvm with *kvm*."""
    limits = [
        "prlimit",
        f"--as={(memory_mib + _BESIDES_MIB) << 20}",
        f"--cpu={cpu_limit_s}:{cpu_limit_s + _GRACE_S}",
        "--core=0",
    ]
    limits += [f"--nofile={_FILES}", "--memlock=65536", "--"]
    bwrap = ["bwrap", *_NAMESPACES, "--die-with-parent", "--cap-drop", "ALL"]
    for right in _RIGHTS:
        bwrap += ["--cap-add", right]
    bwrap += _SYSTEM
    for name in _LINKS:
        bwrap += ["--symlink", f"usr/{name}", f"/{name}"]
    bwrap += ["--ro-bind", str(image.kernel), command.KERNEL, "--ro-bind", str(image.root), command.ROOT]
    if kvm:
        bwrap += ["--dev-bind", str(KVM), str(KVM)]
    groups = f"--groups={','.join(map(str, who.groups))}" if who.groups else "--clear-groups"
    drop = ["setpriv", f"--reuid={who.uid}", f"--regid={who.gid}", groups, "--inh-caps=-all", "--ambient-caps=-all"]
    return [*limits, *bwrap, "--", *drop, "--bounding-set=-all", "--no-new-privs", "--", *argv]
