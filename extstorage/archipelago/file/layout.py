# SPDX-License-Identifier: BSD-2-Clause
"""Where everything of one pool lies below the shared folder.

``volumes/<volume>.json``  what the volume is; it exists when this file does, and changes when this file is replaced
``data/<name>.<token>.raw|qcow2``  content; such a file keeps its name, so that overlays find what is below them
``making/<file of data>``  locked by who makes that file; with a free lock it is to be removed if nothing refers to it
``images/``, ``catalogue/``, ``trash/``  records of images, the catalogue, and volumes that were removed
``open/<volume>/``  who has the volume attached and open
``locks/``  locks of names and of references
"""

from __future__ import annotations

import os
from typing import NamedTuple

from archipelago.parameters import Settings
from ganeti_cloud.errors import ConfigError

# In the order in which they are made: a pool that has the last one has them all.
FOLDERS = ("volumes", "data", "making", "images", "catalogue", "trash", "open", "locks")

# The kinds of records that can refer to data.
HOLDERS = ("volumes", "images", "trash")


class Layout(NamedTuple):
    """One pool below the shared *folder*."""

    folder: str
    pool: str

    def path(self, *names: str) -> str:
        """The path of something in this pool."""
        return "/".join((self.folder, self.pool, *names))

    def data(self, file: str) -> str:
        """The path of *file*, which a chain of a record names: ``<pool>/<file of data>``."""
        pool, _, name = file.partition("/")
        return f"{self.folder}/{pool}/data/{name}"

    def beside(self, file: str) -> str:
        """The path of *file* as seen from the folder of this pool's data: it holds wherever the folder is mounted."""
        pool, _, name = file.partition("/")
        return name if pool == self.pool else f"../../{pool}/data/{name}"

    def pools(self) -> list[Layout]:
        """All pools that are in the shared folder."""
        found = sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir())
        return [Layout(self.folder, name) for name in found if os.path.isdir(f"{self.folder}/{name}/{FOLDERS[-1]}")]


def of_volumes(settings: Settings) -> Layout:
    """Where the volumes are."""
    return Layout(settings.folder, settings.pool)


def of_images(settings: Settings) -> Layout:
    """Where the images are."""
    return Layout(settings.folder, settings.image_pool)


def prepared(layout: Layout) -> Layout:
    """*layout*, with the folders of its pool. Raises ConfigError when the pool itself has no folder.

    That one is made by a person: where the shared file system is not mounted it is missing, and nothing is made on the
    disk below the mount point.
    """
    if os.path.isdir(layout.path(FOLDERS[-1])):
        return layout
    if not os.path.isdir(layout.path()):
        raise ConfigError(
            f"there is no folder {layout.path()}",
            hint="mount the shared folder there; for a new pool make that folder, once, with mode 0700",
        )
    for name in FOLDERS:
        os.makedirs(layout.path(name), mode=0o700, exist_ok=True)
    return layout
