# SPDX-License-Identifier: BSD-2-Clause
"""The mounts of a lab that the machine sees: one tmpfs, and in it the layers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ganeti_cloud.process import run
from lab import kernel
from lab.places import Places

_MOUNT_S = 30.0


def mount_base(places: Places, images: Sequence[Path], memory_gib: int) -> list[Path]:
    """Mount the squashfs *images*, the lowest last, and return their mount points in the same order."""
    if not places.memory.is_mount():
        places.memory.mkdir(exist_ok=True)
        kernel.mount("ganeti-cloud-lab", places.memory, "tmpfs", options=f"mode=755,size={memory_gib}g")
        kernel.mount("none", places.memory, flags=kernel.MS_PRIVATE)
    names = ("packages", "base")[-len(images) :]
    points = [places.layer(name) for name in names]
    for point, image in zip(points, images, strict=True):
        point.mkdir(parents=True, exist_ok=True)
        if not point.is_mount():
            run(["mount", "-t", "squashfs", "-o", "ro,loop", str(image), str(point)], timeout_s=_MOUNT_S)
    return points


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
