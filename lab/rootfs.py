# SPDX-License-Identifier: BSD-2-Clause
"""The root file system of a node: one squashfs per release and package list, made once and kept."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ganeti_cloud.process import run
from lab.packages import base_key, package_list
from lab.places import CACHE
from lab.spec import Release
from lab.timeline import Timeline

MAKE_SETUP = "make setup installs what the lab needs on this machine"

_BOOTSTRAP_S = 1800.0
_SQUASH_S = 600.0
# Documentation and translations are a quarter of the size and nobody reads them in a node.
_LEAVE_OUT = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file *path*; a second process waits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def proxies() -> dict[str, str]:
    """The machine's HTTP proxy settings, for programs that fetch packages."""
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: os.environ[name] for name in names if name in os.environ}


def squash(folder: Path, target: Path) -> None:
    """Pack *folder* into the squashfs *target*, in one step as seen by others."""
    temporary = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    argv = ["mksquashfs", str(folder), str(temporary), "-comp", "zstd", "-Xcompression-level", "3"]
    try:
        run([*argv, "-noappend", "-quiet", "-no-progress"], timeout_s=_SQUASH_S, hint=MAKE_SETUP)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def base(release: Release, extra: tuple[str, ...], timeline: Timeline) -> Path:
    """The squashfs with the packages of *release*; built when it is not in the cache."""
    key = base_key(release, extra)
    target = CACHE / f"base-{key}.squashfs"
    with locked(CACHE / f"base-{key}.lock"):
        if not target.exists():
            with timeline.step(f"root file system of {release} built"):
                _bootstrap(release, package_list(release, extra), target)
    return target


def _bootstrap(release: Release, packages: tuple[str, ...], target: Path) -> None:
    folder = CACHE / f"{target.stem}.d"
    shutil.rmtree(folder, ignore_errors=True)
    argv = ["mmdebstrap", "--variant=apt", "--format=directory", "--aptopt=APT::Install-Recommends false"]
    argv += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEAVE_OUT]
    argv += ["--dpkgopt=path-include=/usr/share/doc/*/copyright", f"--include={','.join(packages)}"]
    try:
        # No mirror is named: mmdebstrap's own default is main with its updates and security updates.
        run([*argv, str(release), str(folder)], timeout_s=_BOOTSTRAP_S, env=proxies(), hint=MAKE_SETUP)
        squash(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
