# SPDX-License-Identifier: BSD-2-Clause
"""A machine with Debian's own kernel, for tests of what the kernel of the development machine has not.

Nodes of a lab share that machine's kernel. This boots the kernel of a release under QEMU, with the root file system of
the lab's nodes, and runs one program of this tree in it. What it changes is gone afterwards.
"""

from __future__ import annotations

import lzma
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from ganeti_cloud.errors import CloudError, CommandError
from ganeti_cloud.process import run
from lab.cpio import Entry, archive
from lab.images.tree import Tree, tree
from lab.layer import packages_in
from lab.places import TREE
from lab.rootfs import base, squash
from lab.spec import Release
from lab.timeline import Timeline

_WORKS_S = 60.0
# What brings the root file system up, in the order of loading: virtio needs virtio_ring. For the rest the kernel asks
# modprobe.
_MODULES = """virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk squashfs
 overlay""".split()

_INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
for module in {modules}; do insmod "/modules/$module.ko"; done
mount -t squashfs -o ro /dev/vda /below
mount -t squashfs -o ro /dev/vdb /ours
mount -t tmpfs tmpfs /changes
mkdir /changes/upper /changes/work
mount -t overlay -o lowerdir=/ours:/below,upperdir=/changes/upper,workdir=/changes/work overlay /root
exec switch_root /root /bin/sh /tree/.init
"""

_SECOND_INIT = """export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TERM=dumb
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs tmpfs /run
modprobe tun
mount -t tmpfs tmpfs /tmp
ip link set lo up
cd /tree
{command} </dev/null 2>&1
echo "{end} $?"
echo o >/proc/sysrq-trigger
sleep 60
"""
_END = "native: ended with"


def run_native(
    release: Release, command: str, folder: Path, timeline: Timeline, *, debs: Path, timeout_s: float
) -> tuple[int, str]:
    """Exit status and output of the shell's *command*, run by root in this tree, in a machine with *release*'s kernel.

    *folder* is for the disks. The tree is that of files which git knows, with the packages for this release alone that
    are in *debs*. Raises CloudError when the machine does not come so far within *timeout_s*.
    """
    below, kernel = base(release, (), timeline), tree(release, timeline)
    ours = folder / "ours"
    with timeline.step(f"machine with the kernel {kernel.version}"):
        modules = dict(_modules(kernel, ours))
        _put_tree(ours / "tree")
        for package in set(packages_in(debs, release)) - set(debs.glob("*.deb")):
            run(["dpkg-deb", "--extract", str(package), str(ours)], timeout_s=_WORKS_S)
        (ours / "tree/.init").write_text(_SECOND_INIT.format(command=command, end=_END), encoding="utf-8")
        squash(ours, folder / "ours.squashfs")
        shutil.rmtree(ours)
        (folder / "initrd").write_bytes(archive(_initrd(_busybox(below, folder), modules)))
    said = _booted(kernel.kernel, folder, [below, folder / "ours.squashfs"], timeout_s)
    output, end, status = said.rpartition(_END)
    if not end:
        raise CloudError(f"the machine did not get to its end: {' '.join(said.splitlines()[-3:])}")
    return int(status.split()[0]), output


def _modules(kernel: Tree, ours: Path) -> Iterator[tuple[str, bytes]]:
    """Put the kernel's modules into *ours*, and give those that bring the root file system up."""
    ours.mkdir()
    inside = ["--wildcards", "./usr/lib/modules/*"]
    run(["tar", "--extract", f"--file={kernel.archive}", f"--directory={ours}", *inside], timeout_s=_WORKS_S)
    for path in ours.rglob("*.ko*"):
        name = path.name.partition(".")[0]
        if name in _MODULES:
            yield name, lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()


def _put_tree(target: Path) -> None:
    names = run(["git", "-C", str(TREE), "ls-files", "-z", "--cached", "--others", "--exclude-standard"], timeout_s=30)
    for name in filter(None, names.split("\0")):
        source, copy = TREE / name, target / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_file():
            shutil.copy(source, copy)


def _busybox(below: Path, folder: Path) -> bytes:
    """That of the release, which needs no library."""
    out = folder / "busybox"
    run(["unsquashfs", "-no-progress", "-dest", str(out), str(below), "usr/bin/busybox"], timeout_s=_WORKS_S)
    return (out / "usr/bin/busybox").read_bytes()


def _initrd(busybox: bytes, modules: dict[str, bytes]) -> Iterator[Entry]:
    for name in ("bin", "dev", "modules", "below", "ours", "changes", "root"):
        yield Entry(name)
    present = [name for name in _MODULES if name in modules]
    yield Entry("init", _INIT.format(modules=" ".join(present)).encode(), 0o755)
    yield Entry("bin/busybox", busybox, 0o755)
    for name in present:
        yield Entry(f"modules/{name}.ko", modules[name])


def _booted(kernel: Path, folder: Path, disks: Sequence[Path], timeout_s: float) -> str:
    """What a machine says on its console until it powers itself off."""
    console = folder / "console.log"
    argv = ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-nodefaults", "-display", "none"]
    argv += ["-kernel", str(kernel), "-initrd", str(folder / "initrd"), "-no-reboot", "-serial", f"file:{console}"]
    argv += ["-append", "console=ttyS0 quiet panic=-1"]
    for disk in disks:
        argv += ["-drive", f"file={disk},format=raw,if=virtio,readonly=on"]
    try:
        run(argv, timeout_s=timeout_s, shown="qemu-system-x86_64")
    except CommandError:
        pass  # the console tells more
    return console.read_text(encoding="utf-8", errors="replace")
