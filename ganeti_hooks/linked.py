# SPDX-License-Identifier: BSD-2-Clause
"""Whether Ganeti finds our program in each of our hooks, and when it last ran there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ganeti_hooks import paths, stamps
from ganeti_hooks.paths import Hook

ROOT = Path("/")

LINKED = "linked"
MISSING = "missing"
FOREIGN = "foreign"
DANGLING = "dangling"


class Row(NamedTuple):
    """One hook."""

    hook: str
    """As Ganeti names its folder, without the end."""
    link: str
    why: str
    """Empty for one that is as it should be."""
    last_run: float | None
    """Seconds since 1970; None for never."""


def rows(root: Path, stamps_folder: Path) -> list[Row]:
    """All of our hooks below *root*, by name."""
    return [_row(hook, root, stamps_folder) for hook in sorted(paths.DUTIES)]


def _row(hook: Hook, root: Path, stamps_folder: Path) -> Row:
    link, why = _looked(root / paths.place(hook).lstrip("/"), root / paths.PROGRAM.lstrip("/"))
    return Row("-".join(hook), link, why, stamps.last(stamps_folder, hook))


def _looked(place: Path, program: Path) -> tuple[str, str]:
    if not os.path.lexists(place):
        return MISSING, f"{place} is not there: reinstall the package ganeti-cloud-hooks"
    if not place.is_symlink():
        return FOREIGN, f"{place} is no link to {program}: give it another name, and reinstall the package"
    target = Path(os.path.normpath(place.parent / os.readlink(place)))
    if target not in (program, Path(paths.PROGRAM)):
        return FOREIGN, f"{place} is a link to {target}: give it another name, and reinstall the package"
    if not os.access(program, os.X_OK):
        return DANGLING, f"{program} is not there, or cannot be run: reinstall the package ganeti-cloud-hooks"
    return LINKED, ""
