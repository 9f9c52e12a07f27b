# SPDX-License-Identifier: BSD-2-Clause
"""The mounts of a lab that the machine sees: one tmpfs, and in it the layers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ganeti_cloud.files import replace_file
from ganeti_cloud.process import run
from lab import kernel
from lab.places import Places

_MOUNT_S = 30.0


def mount_layers(places: Places, images: Sequence[Path], memory_gib: int) -> tuple[list[Path], bool]:
    """Mount the squashfs *images*, the lowest last. A lab keeps the layers that it was made with.

    Returns the mount points, the lowest last, and whether they show *images*.
    """
    if not places.memory.is_mount():
        places.memory.mkdir(exist_ok=True)
        kernel.mount("ganeti-cloud-lab", places.memory, "tmpfs", options=f"mode=755,size={memory_gib}g")
        kernel.mount("none", places.memory, flags=kernel.MS_PRIVATE)
    record = places.memory / "layers.json"
    if not record.exists():
        replace_file(record, json.dumps([str(image) for image in images]))
    kept = [Path(name) for name in json.loads(record.read_text(encoding="utf-8"))]
    points = [places.layer(image.stem) for image in kept]
    for point, image in zip(points, kept, strict=True):
        point.mkdir(parents=True, exist_ok=True)
        if not point.is_mount():
            run(["mount", "-t", "squashfs", "-o", "ro,loop", str(image), str(point)], timeout_s=_MOUNT_S)
    return points, kept == list(images)


def below(folder: Path, mountinfo: str) -> list[Path]:
    """Mount points at or below *folder* in a mountinfo text, the innermost first."""
    points = [_unescaped(line.split()[4]) for line in mountinfo.splitlines() if line.strip()]
    inside = [Path(point) for point in points if Path(point).is_relative_to(folder)]
    return sorted(inside, key=lambda path: len(path.parts), reverse=True)


def unmount_all(folder: Path) -> None:
    """Unmount everything at and below *folder*. Safe to repeat."""
    for point in below(folder, Path("/proc/self/mountinfo").read_text(encoding="utf-8")):
        kernel.unmount(point)


def _unescaped(text: str) -> str:
    # Blank, tab, newline and backslash are octal in there, proc(5).
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, char)
    return text
