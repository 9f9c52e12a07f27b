# SPDX-License-Identifier: BSD-2-Clause
"""Whether the machine runs under KVM, or emulated (TCG), which is slower and works everywhere.

That /dev/kvm is there says little: nested or patched, it may start a guest that never gets anywhere. So the machine is
tried once, and the outcome holds as long as the node's boot, QEMU and the helper image do.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path

from ganeti_cloud.errors import CloudError, ConfigError
from ganeti_cloud.files import replace_file
from snf_image.machine.command import KVM, QEMU, TCG
from snf_image.machine.image import STATE, HelperImage
from snf_image.machine.isolation import KVM as DEVICE

AUTO = "auto"
SETTINGS = (AUTO, KVM, TCG)

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_HINT = "set accelerator in [machine] to auto or tcg, or load the kernel's module kvm_intel or kvm_amd"


def chosen(setting: str, image: HelperImage, works: Callable[[], bool], *, state: Path = STATE) -> str:
    """KVM or TCG. With the *setting* auto, *works* is asked once whether the machine speaks under KVM.

    Raises CloudError when KVM is wanted and is not there.
    """
    if setting not in SETTINGS:
        raise ConfigError(f"there is no accelerator {setting!r}", hint=f"there are {', '.join(SETTINGS)}")
    if setting == TCG:
        return TCG
    trouble = _unusable()
    if setting == KVM:
        if trouble:
            raise CloudError(f"the helper machine cannot use KVM: {DEVICE}: {trouble}", hint=_HINT)
        return KVM
    return TCG if trouble or not _tried(image, works, state) else KVM


def _unusable() -> str:
    """Why /dev/kvm cannot be opened; empty when it can."""
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as err:
        return err.strerror or str(err)
    return ""


def _tried(image: HelperImage, works: Callable[[], bool], state: Path) -> bool:
    device = os.stat(DEVICE)
    about = {
        "boot_id": _BOOT_ID.read_text(encoding="utf-8").strip(),
        "device": [device.st_mode, device.st_gid],
        "image": image.name,
        "qemu": _look(QEMU),
    }
    record = state / "kvm.json"
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (state / "kvm.lock").open("wb") as lock:
        # Another deployment that starts at the same time waits for the outcome of this one's try.
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _known(record)
        if known is not None and known.get("about") == about:
            return known.get("works") is True
        outcome = works()
        replace_file(record, json.dumps({"about": about, "works": outcome}), mode=0o600)
        return outcome


def _known(record: Path) -> dict[str, object] | None:
    try:
        given = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return given if isinstance(given, dict) else None


def _look(path: str) -> list[int]:
    """What changes when the program is replaced."""
    try:
        seen = os.stat(path)
    except OSError as err:
        raise CloudError(f"{path}: {err.strerror}", hint="install qemu-system-x86") from err
    return [seen.st_size, seen.st_mtime_ns]
