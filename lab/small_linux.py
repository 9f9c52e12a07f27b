# SPDX-License-Identifier: BSD-2-Clause
"""Small file systems with the files of a Linux guest that a deployment touches, and disks around them.

Nothing on them can be started. They are made without mounting anything, in well under a second each.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.process import run

MIB = 1 << 20
SECTOR = 512
TOOL_S = 120.0

FILES = {
    "etc/fstab": "/dev/vda1 / auto defaults 0 1\n",
    "etc/hostname": "template\n",
    "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 template\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
    "etc/group": "root:x:0:\nalice:x:1000:\n",
    "etc/shadow": "root:*:19000:0:99999:7:::\nalice:*:19000:0:99999:7:::\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
    "etc/debian_version": "12.0\n",
    "etc/ssh/sshd_config": "Include /etc/ssh/sshd_config.d/*.conf\n",
    "etc/ssh/ssh_host_ed25519_key": "old\n",
    "etc/ssh/ssh_host_ed25519_key.pub": "old\n",
    "etc/network/interfaces": "source /etc/network/interfaces.d/*\nauto lo\niface lo inet loopback\n",
    "usr/sbin/ifup": "",
    "usr/sbin/sshd": "",
    "var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
}
FOLDERS = ("dev", "proc", "sys", "run", "tmp", "root", "home/alice", "etc/network/interfaces.d", "etc/systemd/network")

Change = Callable[[Path], None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A file system: how it is made of a folder, and the least that it can be, in MiB."""

    make: Callable[[Path, Path], None]
    size_mib: int


def write_tree(folder: Path) -> None:
    """Put the files of a guest into *folder*."""
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    (folder / "etc/shadow").chmod(0o640)


def make_volume(path: Path, kind: str, change: Change | None = None, *, size_mib: int = 0) -> None:
    """Make the file *path* a file system of *kind* with a guest's tree, to which *change* has been made before."""
    maker = KINDS[kind]
    with path.open("wb") as stream:
        stream.truncate((size_mib or maker.size_mib) * MIB)
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name, "tree")
        tree.mkdir()
        write_tree(tree)
        if change is not None:
            change(tree)
        maker.make(path, tree)


def make_disk(path: Path, volume: Path, *, table: str = "gpt", spare_mib: int = 8) -> None:
    """Make the raw disk *path* with *volume* as its only partition, and *spare_mib* behind it.

    *table* is gpt, dos, or logical: then the partition is number 5.
    """
    sectors = volume.stat().st_size // SECTOR
    script, start = _TABLES[table]
    with path.open("wb") as stream:
        stream.truncate((start + sectors) * SECTOR + (1 + spare_mib) * MIB)
    run(["sfdisk", "--quiet", str(path)], stdin=script.format(size=sectors, around=sectors + 2048), timeout_s=TOOL_S)
    copy_into(volume, path, start * SECTOR)


def copy_into(source: Path, target: Path, offset: int) -> None:
    """Copy the bytes of *source* to *offset* in *target*, those that are not in holes."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        for begin, end in extents(source):
            reader.seek(begin)
            writer.seek(offset + begin)
            for at in range(begin, end, MIB):
                writer.write(reader.read(min(MIB, end - at)))


def extents(path: Path) -> Iterator[tuple[int, int]]:
    """Where in the file *path* data begins and ends, between its holes."""
    with path.open("rb") as stream:
        end, size = 0, path.stat().st_size
        while end < size:
            try:
                begin = os.lseek(stream.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole is left
                return
            end = os.lseek(stream.fileno(), begin, os.SEEK_HOLE)
            yield begin, end


def debugfs(volume: Path, *commands: str) -> None:
    """Have debugfs(8) change the ext file system in *volume*."""
    run(["debugfs", "-w", "-f", "-", str(volume)], stdin="".join(f"{each}\n" for each in commands), timeout_s=TOOL_S)


def _ext4(volume: Path, tree: Path) -> None:
    features = ["-O", "^metadata_csum,^has_journal", "-E", "hash_seed=2e8ca0d2-0000-4000-8000-000000000004"]
    identity = ["-U", "2e8ca0d2-0000-4000-8000-000000000001", "-L", "root", "-m", "0"]
    run(
        ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", *features, *identity, "-d", str(tree), str(volume)],
        timeout_s=TOOL_S,
    )


def _xfs(volume: Path, tree: Path) -> None:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as prototype:
        prototype.write("/no-boot-block\n0 0\n")
        prototype.writelines(f"{line}\n" for line in _prototype(tree, "d--755 0 0"))
        prototype.flush()
        identity = ["-m", "uuid=2e8ca0d2-0000-4000-8000-000000000002", "-L", "root"]
        run(["mkfs.xfs", "-q", "-f", *identity, "-p", prototype.name, str(volume)], timeout_s=TOOL_S)


def _prototype(folder: Path, entry: str) -> list[str]:
    """The lines of mkfs.xfs's prototype for *folder*, which is itself *entry*."""
    lines = [entry]
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            lines += _prototype(path, f"{path.name} d--755 0 0")
        else:
            lines.append(f"{path.name} ---644 0 0 {path}")
    return [*lines, "$"]


def _btrfs(volume: Path, tree: Path) -> None:
    # No identity of its own: mkfs.btrfs(8) refuses one that it has seen on this machine before.
    run(["mkfs.btrfs", "--quiet", "--force", "--label", "root", "--rootdir", str(tree), str(volume)], timeout_s=TOOL_S)


# The kernel gives a btrfs of less than 256 MiB no other size.
KINDS = {"ext4": Kind(_ext4, 24), "xfs": Kind(_xfs, 320), "btrfs": Kind(_btrfs, 300)}
_TABLES = {
    "gpt": ("label: gpt\nlabel-id: 2E8CA0D2-0000-4000-8000-000000000005\nstart=2048, size={size}, type=L\n", 2048),
    "dos": ("label: dos\nlabel-id: 0x2e8ca0d2\nstart=2048, size={size}, type=83, bootable\n", 2048),
    "logical": (
        "label: dos\nlabel-id: 0x2e8ca0d2\nstart=2048, size={around}, type=5\nstart=4096, size={size}, type=83\n",
        4096,
    ),
}
