# SPDX-License-Identifier: BSD-2-Clause
"""The second layer of a node: our packages, installed once over the release's and kept as a squashfs.

Installed by dpkg in a chroot, without a network: what they depend on must be in the layer below.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import follow, run
from lab import kernel
from lab.places import CACHE, TREE
from lab.rootfs import locked, squash
from lab.spec import Release
from lab.timeline import Timeline

_INSTALL_S = 300.0
_KEPT = 8  # layers: every build of our packages makes another
_POLICY = "#!/bin/sh\nexit 101\n"  # invoke-rc.d(8): start nothing


def packages_in(folder: Path, release: Release) -> list[Path]:
    """The packages to install: each ``*.deb`` of *folder*, and of its folder for *release* where there is one."""
    return sorted((*folder.glob("*.deb"), *folder.glob(f"{release}/*.deb")))


def layer_key(base: str, packages: Sequence[Path]) -> str:
    """Name of the cached layer: the same packages over the same base give the same name."""
    total = hashlib.sha256(base.encode())
    for package in sorted(packages, key=lambda path: path.name):
        total.update(f"\n{package.name} ".encode())
        total.update(hashlib.sha256(package.read_bytes()).digest())
    return total.hexdigest()[:16]


def layer(base: Path, packages: Sequence[Path], timeline: Timeline) -> Path:
    """The squashfs with *packages* installed over the squashfs *base*; made when it is not in the cache."""
    key = layer_key(base.name, packages)
    target = CACHE / f"layer-{key}.squashfs"
    with locked(CACHE / f"layer-{key}.lock"):
        if not target.exists():
            with timeline.step(f"packages installed over {base.stem}: {len(packages)}"):
                order = json.dumps({"base": str(base), "packages": [str(p) for p in packages], "target": str(target)})
                unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
                program = ["/usr/bin/python3", "-m", "lab.layer", order]
                run(
                    [*unshare, *program],
                    timeout_s=_INSTALL_S * 2,
                    env={"PYTHONPATH": str(TREE)},
                    shown="install the packages",
                    hint=f"see {_log(target)}",
                )
            _prune()
    return target


def _prune() -> None:
    """Delete all but the newest layers; one that is mounted lives on without its name."""
    layers = sorted(CACHE.glob("layer-*.squashfs"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in layers[_KEPT:]:
        for path in (old, _log(old), old.with_suffix(".lock")):
            path.unlink(missing_ok=True)


def install(base: Path, packages: Sequence[Path], target: Path) -> None:
    """What :func:`layer` runs in namespaces of its own: mounts need no undoing there."""
    work = CACHE / "work"
    work.mkdir(exist_ok=True)
    kernel.mount("tmpfs", work, "tmpfs")
    below, upper, root = work / "base", work / "upper", work / "root"
    for folder in (below, upper, work / "work", root):
        folder.mkdir()
    run(["mount", "-t", "squashfs", "-o", "ro,loop", str(base), str(below)], timeout_s=30)
    options = f"lowerdir={below},upperdir={upper},workdir={work / 'work'},index=off,metacopy=off"
    kernel.mount("overlay", root, "overlay", options=options)
    kernel.mount("proc", root / "proc", "proc")
    kernel.mount("tmpfs", root / "dev", "tmpfs")
    for device in ("null", "zero", "random", "urandom", "full", "tty"):
        (root / "dev" / device).touch()
        kernel.bind(f"/dev/{device}", root / "dev" / device)
    _dpkg(root, packages, _log(target))
    squash(upper, target)


def _dpkg(root: Path, packages: Sequence[Path], log: Path) -> None:
    policy, incoming = root / "usr/sbin/policy-rc.d", root / "dev/incoming"
    policy.write_text(_POLICY, encoding="ascii")
    policy.chmod(0o755)
    incoming.mkdir()
    for package in packages:
        shutil.copy(package, incoming)
    names = [f"/dev/incoming/{package.name}" for package in packages]
    argv = ["chroot", str(root), "/bin/sh", "-c", 'exec dpkg --install "$@" 2>&1 </dev/null', "dpkg", *names]
    with log.open("w", encoding="utf-8") as stream:

        def keep(piece: str) -> None:
            stream.write(piece)

        follow(argv, keep, timeout_s=_INSTALL_S, env={"DEBIAN_FRONTEND": "noninteractive"}, shown="dpkg --install")
    policy.unlink()


def _log(target: Path) -> Path:
    return target.with_suffix(".log")


def main() -> int:
    order = json.loads(sys.argv[1])
    os.umask(0o022)
    try:
        install(Path(order["base"]), [Path(p) for p in order["packages"]], Path(order["target"]))
    except CloudError as err:
        sys.stderr.write(f"{err}\n")
        return err.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
