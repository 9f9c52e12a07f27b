# SPDX-License-Identifier: BSD-2-Clause
"""The whole examination, area by area."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from archipelago.doctor import ceph, folder, ganeti, node
from archipelago.parameters import Settings
from ganeti_cloud.checkup import Check, State
from ganeti_cloud.errors import CloudError


def examine(config_file: str) -> Iterator[Check]:
    """Every finding, as soon as there is one. Nothing is changed, nor left behind if the process is killed."""
    try:
        settings = Settings.load(config_file)
    except CloudError as err:
        yield Check("configuration", State.FAIL, str(err), err.hint)
        return
    said = f"{config_file} is in order" if os.path.exists(config_file) else f"no {config_file}, so the defaults hold"
    yield Check("configuration", State.OK, f"{said}; the driver is {settings.driver}")
    yield from ganeti.checks(ganeti.look())
    if settings.driver == "file":
        yield from _area("folder", lambda: folder.checks(folder.look(settings)))
    else:
        yield from _area("Ceph", lambda: ceph.checks(ceph.look(settings)))
    yield from _area("devices", lambda: node.checks(node.look(settings)))


def _area(name: str, found: Callable[[], list[Check]]) -> list[Check]:
    try:
        return found()
    except CloudError as err:
        return [Check(name, State.FAIL, str(err), err.hint)]
