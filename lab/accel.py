# SPDX-License-Identifier: BSD-2-Clause
"""Whether guests can run under KVM here: found out by booting one."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from ganeti_cloud.errors import CommandError
from ganeti_cloud.files import replace_file
from ganeti_cloud.process import follow
from lab.guest import Guest, guest
from lab.places import RUN
from lab.rootfs import locked
from lab.spec import Release
from lab.timeline import Timeline

_BOOT_S = 20.0
_VERDICT = RUN / "kvm.json"


class _BootedError(Exception):
    """The guest said something: it runs."""


def kvm_works(release: Release, timeline: Timeline) -> bool:
    """Whether QEMU with KVM boots the test guest in good time. Tried once per boot of this machine.

    A /dev/kvm alone says little: nested under some hypervisors it is there, and a stock kernel never comes up.
    """
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    with locked(RUN / "kvm.lock"):
        known = _known(boot)
        if known is not None:
            return known
        parts = guest(release, timeline)
        with timeline.step("KVM tried with the test guest"):
            works = boots(parts)
        replace_file(_VERDICT, json.dumps({"boot_id": boot, "works": works}), mode=0o644)
    timeline.note("guests run under KVM" if works else "KVM does not work here: guests run under TCG")
    return works


def boots(parts: Guest) -> bool:
    """Whether the guest's userspace speaks under ``-accel kvm`` within some seconds."""
    heard = ""

    def listen(piece: str) -> None:
        nonlocal heard
        heard += piece
        if "lab-guest:" in heard:
            raise _BootedError

    argv = ["qemu-system-x86_64", "-accel", "kvm", "-m", "128", "-nodefaults", "-display", "none", "-no-reboot"]
    argv += ["-serial", "stdio", "-kernel", str(parts.kernel), "-initrd", str(parts.initrd)]
    argv += ["-append", "console=ttyS0 panic=-1 quiet"]
    with suppress(CommandError):
        try:
            follow(argv, listen, timeout_s=_BOOT_S)
        except _BootedError:
            return True
    return False


def _known(boot: str) -> bool | None:
    try:
        verdict = json.loads(_VERDICT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return bool(verdict["works"]) if verdict.get("boot_id") == boot else None
