# SPDX-License-Identifier: BSD-2-Clause
"""A disk image of a real Debian guest, made from the release's tree and kept."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.process import run
from lab.images import grub
from lab.images.content import LABEL, command_line
from lab.images.lvm import Volume, physical_volume
from lab.images.partitions import Area, of_use, root_area, table
from lab.images.spec import SIZE_BYTES, VOLUME_GROUP, Filesystem, ImageSpec
from lab.images.tree import Tree, tree
from lab.places import CACHE, TREE
from lab.rootfs import MAKE_SETUP, locked
from lab.spec import Release
from lab.timeline import Timeline

_STEP_S = 60.0
_FILL_S = 900.0
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class GuestImage:
    """A finished image, made of the archive *tree*. What has no boot loader is started by the other three."""

    path: Path
    tree: Path
    kernel: Path
    initrd: Path
    command_line: str


def guest_image(release: Release, spec: ImageSpec, timeline: Timeline) -> GuestImage:
    """The image *spec* of *release*; made when it is not in the cache."""
    parts = tree(release, timeline)
    target = CACHE / f"{parts.archive.parent.name}-{spec.name}-{_key()}.raw"
    # One at a time: the images of both releases have the same UUIDs, and no kernel mounts two file systems of one UUID.
    with locked(CACHE / "debian-images.lock"):
        if not target.exists():
            with timeline.step(f"image {spec.name} of {release} made"):
                write_image(spec, parts, target)
            for old in CACHE.glob(f"debian-{release}-*-{spec.name}-*.raw"):
                if old != target:
                    old.unlink()
    return GuestImage(target, parts.archive, parts.kernel, parts.initrd, command_line(spec))


def _key() -> str:
    total = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        total.update(path.read_bytes())
    return total.hexdigest()[:12]


def write_image(spec: ImageSpec, parts: Tree, target: Path) -> None:
    """Write the image to *target*, in one step as seen by others."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as name:
        work = Path(name)
        disk = work / "disk"
        _sparse(disk, SIZE_BYTES)
        run(["sfdisk", "--quiet", str(disk)], stdin=table(spec), timeout_s=_STEP_S, hint=MAKE_SETUP)
        areas = _format(spec, work)
        _fill(spec, work, parts)
        for use, area in areas.items():
            copy_in(work / use, disk, area.start)
        if (lvm := of_use(spec, "lvm")) is not None:
            with disk.open("r+b") as stream:
                stream.seek(lvm.start)
                stream.write(physical_volume(Volume(VOLUME_GROUP, "root", lvm.size)))
        if spec.has_bootloader:
            grub.write(spec, disk, work)
        disk.replace(target)


def _format(spec: ImageSpec, work: Path) -> dict[str, Area]:
    """Make the file systems, each in a file of its own; returns where on the disk they belong."""
    areas = {"root": root_area(spec)}
    for use in ("boot", "swap"):
        if (part := of_use(spec, use)) is not None:
            areas[use] = Area(part.start, part.size)
    for use, area in areas.items():
        _sparse(work / use, area.size)
        argv = make_filesystem(spec, use)
        run([*argv, str(work / use)], timeout_s=_STEP_S, hint=MAKE_SETUP)
    return areas


def make_filesystem(spec: ImageSpec, use: str) -> list[str]:
    """The program that makes the file system for *use*, without the name of the file."""
    identity = spec.uuid(use)
    if use == "swap":
        return ["mkswap", "--uuid", identity]
    if use == "boot" or spec.filesystem is Filesystem.EXT4:
        return ["mkfs.ext4", "-q", "-U", identity, "-L", use if use == "boot" else LABEL]
    if spec.filesystem is Filesystem.XFS:
        return ["mkfs.xfs", "-q", "-m", f"uuid={identity}", "-L", LABEL]
    return ["mkfs.btrfs", "-q", "-U", identity, "-L", LABEL]


def _fill(spec: ImageSpec, work: Path, parts: Tree) -> None:
    order = {"image": spec.name, "work": str(work), "archive": str(parts.archive), "version": parts.version}
    unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child"]
    run(
        [*unshare, "/usr/bin/python3", "-m", "lab.images.fill", json.dumps(order)],
        timeout_s=_FILL_S,
        env={"PYTHONPATH": str(TREE)},
        shown=f"fill the image {spec.name}",
    )


def _sparse(path: Path, size: int) -> None:
    path.touch()
    os.truncate(path, size)


def copy_in(source: Path, disk: Path, start: int) -> None:
    """Copy what *source* holds into *disk* from the byte *start* on; its holes stay holes."""
    with source.open("rb") as reader, disk.open("r+b") as writer:
        end = os.fstat(reader.fileno()).st_size
        position = _next_data(reader.fileno(), 0)
        while position is not None and position < end:
            hole = os.lseek(reader.fileno(), position, os.SEEK_HOLE)
            reader.seek(position)
            writer.seek(start + position)
            while position < hole:
                piece = reader.read(min(_PIECE, hole - position))
                writer.write(piece)
                position += len(piece)
            position = _next_data(reader.fileno(), hole)


def _next_data(descriptor: int, position: int) -> int | None:
    try:
        return os.lseek(descriptor, position, os.SEEK_DATA)
    except OSError:  # ENXIO: nothing but a hole from here on
        return None
