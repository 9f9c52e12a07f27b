# SPDX-License-Identifier: BSD-2-Clause
"""Whether this node can deploy: each thing that a deployment needs, looked at."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator

from ganeti_cloud import spool
from ganeti_cloud.checkup import Check, State
from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import BASE_ENV
from snf_image import settings
from snf_image.machine.image import verified
from snf_image.settings import Settings

_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "qemu-nbd": "qemu-utils",
    "qemu-io": "qemu-utils",
    "bwrap": "bubblewrap",
    "prlimit": "util-linux",
    "setpriv": "util-linux",
}


def examine() -> Iterator[Check]:
    """What there is to say of this node, one thing after the other."""
    try:
        chosen = settings.load("")
    except CloudError as err:
        yield Check("configuration", State.FAIL, str(err), err.hint)
        return
    yield Check("configuration", State.OK, f"{settings.CONFIG_FILE} is in order, or not there")
    yield from _variants()
    yield _programs()
    yield _helper()
    yield _user(chosen.machine.user)
    yield _accelerator(chosen.machine.accelerator)
    yield _images(chosen)
    yield _catalogue()
    yield _spool()


def _variants() -> Iterator[Check]:
    try:
        names = sorted(os.listdir(settings.VARIANTS_FOLDER))
    except FileNotFoundError:
        return
    for name in names:
        variant, suffix = os.path.splitext(name)
        if suffix == ".toml":
            try:
                settings.load(variant)
                yield Check(f"variant {variant}", State.OK, f"{settings.VARIANTS_FOLDER}/{name} is in order")
            except CloudError as err:
                yield Check(f"variant {variant}", State.FAIL, str(err), err.hint)


def _programs() -> Check:
    missing = [name for name in _PROGRAMS if shutil.which(name, path=BASE_ENV["PATH"]) is None]
    if not missing:
        return Check("programs", State.OK, "all are there")
    packages = sorted({_PROGRAMS[name] for name in missing})
    return Check("programs", State.FAIL, f"missing: {', '.join(missing)}", f"apt install {' '.join(packages)}")


def _helper() -> Check:
    try:
        found = verified()
    except CloudError as err:
        return Check("helper machine", State.FAIL, str(err), err.hint)
    return Check("helper machine", State.OK, f"its image is {found.name}, as it was built")


def _user(name: str) -> Check:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return Check("user", State.FAIL, f"there is no user {name}", "systemd-sysusers ganeti-os-snf-image.conf")
    if found.pw_uid == 0:
        return Check("user", State.FAIL, f"{name} is root", "name a user without rights, [machine] user")
    return Check("user", State.OK, f"the helper machine runs as {name}")


def _accelerator(chosen: str) -> Check:
    there = os.access("/dev/kvm", os.R_OK | os.W_OK)
    if chosen == "tcg":
        return Check("accelerator", State.OK, "tcg, as configured")
    if there:
        return Check("accelerator", State.OK, f"{chosen}: /dev/kvm is there; auto tries it before it relies on it")
    if chosen == "kvm":
        return Check("accelerator", State.FAIL, "there is no /dev/kvm", 'set [machine] accelerator = "auto"')
    return Check("accelerator", State.WARN, "no /dev/kvm: deployments run without hardware, a few seconds slower")


def _images(chosen: Settings) -> Check:
    if chosen.folder.is_dir():
        return Check("images", State.OK, f"files are taken from {chosen.folder}")
    return Check("images", State.NO, f"there is no folder {chosen.folder}: img_id can name no file")


def _catalogue() -> Check:
    if shutil.which("archipelago", path=BASE_ENV["PATH"]) is None:
        return Check("catalogue", State.NO, "archipelago is not installed: img_id can name no image of it")
    return Check("catalogue", State.OK, "images are taken from archipelago; see also `archipelago doctor`")


def _spool() -> Check:
    if not os.path.isdir(spool.FOLDER):
        text = f"there is no folder {spool.FOLDER}: nobody hears of the progress of deployments"
        return Check("spool", State.WARN, text, "systemd-tmpfiles --create")
    waiting = spool.Spool(spool.FOLDER).depth().files
    if waiting >= spool.MOST_FILES:
        text = f"{waiting} events wait in {spool.FOLDER}, and no more are put there"
        return Check("spool", State.WARN, text, "see what publishes them, or delete them")
    return Check("spool", State.OK, f"{waiting} events wait in {spool.FOLDER}")
