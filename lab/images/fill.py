# SPDX-License-Identifier: BSD-2-Clause
"""Filling the file systems of an image, in namespaces of its own: mounts need no undoing there.

``python3 -m lab.images.fill ORDER`` is what :mod:`lab.images.image` starts; ORDER is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ganeti_cloud.errors import CloudError
from ganeti_cloud.process import run
from lab import kernel
from lab.images.content import MASKED, files, units, unwanted_packages
from lab.images.spec import IMAGES, SUBVOLUMES, Filesystem, ImageSpec

_MOUNT_S = 30.0
_EXTRACT_S = 300.0
_PURGE_S = 300.0
_POLICY = "#!/bin/sh\nexit 101\n"  # invoke-rc.d(8): start nothing


def fill(spec: ImageSpec, work: Path, archive: Path, version: str) -> None:
    """Put the tree *archive* with the kernel *version* into the file systems ``root`` and ``boot`` in *work*."""
    root = work / "mnt"
    root.mkdir()
    _mount(spec, work, root)
    run(["tar", "-C", str(root), "-xf", str(archive), "--numeric-owner", "--xattrs"], timeout_s=_EXTRACT_S)
    _drop_packages(spec, root)
    for path, text in files(spec, version):
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    for unit in units(spec):
        run(["systemctl", f"--root={root}", "enable", unit], timeout_s=_MOUNT_S)
    run(["systemctl", f"--root={root}", "mask", *MASKED], timeout_s=_MOUNT_S)
    for folder in ("etc", "var"):  # systemd-update-done.service(8): its first boot is behind it
        (root / folder / ".updated").touch()
    (root / "var/lib/dbus/machine-id").unlink(missing_ok=True)
    run(["umount", "--recursive", str(root)], timeout_s=120)


def _mount(spec: ImageSpec, work: Path, root: Path) -> None:
    image = str(work / "root")
    if spec.filesystem is Filesystem.BTRFS:
        _mount_subvolumes(image, root)
    else:
        run(["mount", "-o", "loop", image, str(root)], timeout_s=_MOUNT_S)
    if (work / "boot").exists():
        (root / "boot").mkdir()
        run(["mount", "-o", "loop", str(work / "boot"), str(root / "boot")], timeout_s=_MOUNT_S)


def _mount_subvolumes(image: str, root: Path) -> None:
    run(["mount", "-o", "loop", image, str(root)], timeout_s=_MOUNT_S)
    (device,) = run(["findmnt", "--noheadings", "--output=SOURCE", str(root)], timeout_s=_MOUNT_S).split()
    for name in SUBVOLUMES.values():
        run(["btrfs", "subvolume", "create", str(root / name)], timeout_s=_MOUNT_S)
    above = root.with_name("top")
    above.mkdir()
    kernel.bind(root, above)  # the loop device goes with its last mount
    kernel.unmount(root)
    for path, name in SUBVOLUMES.items():
        target = root / path.lstrip("/")
        target.mkdir(exist_ok=True)
        run(["mount", "-o", f"subvol={name}", device, str(target)], timeout_s=_MOUNT_S)
    kernel.unmount(above)


def _drop_packages(spec: ImageSpec, root: Path) -> None:
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(_POLICY, encoding="ascii")
    policy.chmod(0o755)
    kernel.mount("proc", root / "proc", "proc")
    argv = ["chroot", str(root), "dpkg", "--purge", "--force-depends", *unwanted_packages(spec)]
    try:
        run(argv, timeout_s=_PURGE_S, env={"DEBIAN_FRONTEND": "noninteractive"})
    finally:
        kernel.unmount(root / "proc")
        policy.unlink()


def main() -> int:
    order = json.loads(sys.argv[1])
    try:
        fill(IMAGES[order["image"]], Path(order["work"]), Path(order["archive"]), order["version"])
    except CloudError as err:
        sys.stderr.write(f"{err}\n")
        return err.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
