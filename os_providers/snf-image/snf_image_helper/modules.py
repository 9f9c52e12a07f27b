# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's modules, loaded when they are needed: each costs time on an emulated processor.

Whoever builds the machine leaves lists beside the modules, ``<name>.list``: the files to load, a line each, in order.
"""

from __future__ import annotations

import os

from snf_image_helper import kernel

FOLDER = "/usr/lib/snf-image-helper/modules"
BOOT = "boot"

_LISTS = {"ntfs": "fuse"}
_loaded: set[str] = set()


def load(name: str, folder: str = FOLDER) -> None:
    """Load what is listed under *name*; what has no list is built in. Raises OSError."""
    if name in _loaded:
        return
    try:
        with open(f"{folder}/{name}.list", encoding="ascii") as stream:
            files = stream.read().split()
    except FileNotFoundError:
        files = []
    for file in files:
        if file not in _loaded:
            kernel.load_module(os.path.join(folder, file))
            _loaded.add(file)
    _loaded.add(name)


def load_for(filesystem: str, folder: str = FOLDER) -> None:
    """Load what mounting *filesystem* takes. Raises OSError."""
    load(_LISTS.get(filesystem, filesystem), folder)
