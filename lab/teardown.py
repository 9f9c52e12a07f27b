# SPDX-License-Identifier: BSD-2-Clause
"""Taking a lab away. Everything is found by looking, not by remembering, so that a broken lab goes as well."""

from __future__ import annotations

import shutil
from contextlib import suppress

from ganeti_cloud.errors import CloudError
from lab import loops
from lab.mounts import unmount_all
from lab.network import Network
from lab.node import cgroup_of, remove_cgroup
from lab.places import Places
from lab.processes import inits, kill_init, kill_stragglers
from lab.spec import LabSpec


def remove(places: Places) -> None:
    """Remove the processes, loop devices, mounts, network, cgroups and files of a lab. Safe to repeat."""
    # First of all: what tells whose a loop device is ends with the nodes.
    mine = loops.of_lab(places.name, places.memory, places.disk)
    stuck = [init.node for init in inits(places.name) if not kill_init(init)]
    kill_stragglers(places.name)
    loops.detach([*mine, *loops.orphans()])
    # The addresses do not matter here, only the names of the namespaces.
    Network(places.name, LabSpec().plan).down()
    unmount_all(places.run)
    remove_cgroup(cgroup_of(places.name))
    with suppress(OSError):
        cgroup_of(places.name).parent.rmdir()  # stays while another lab has its cgroup there
    shutil.rmtree(places.run, ignore_errors=True)
    shutil.rmtree(places.disk, ignore_errors=True)
    if stuck:
        raise CloudError(
            f"processes of {', '.join(stuck)} do not end", hint="look for state D in ps; then lab down again"
        )
