# SPDX-License-Identifier: BSD-2-Clause
"""Which services the guest starts, as far as its files tell."""

from __future__ import annotations

from snf_image_helper.root import Root

UNITS = "/etc/systemd/system"
# Of OpenRC and of System V; a name there is the service's, in front of which System V has S and two digits.
_OTHERS = ("/etc/runlevels/default", "/etc/runlevels/boot", "/etc/rc2.d", "/etc/rc3.d", "/etc/rcS.d")


def masked(root: Root, unit: str) -> bool:
    """Whether systemd must not start *unit*: systemctl(1), mask."""
    path = f"{UNITS}/{unit}"
    found = root.status(path)
    return root.link_text(path) == "/dev/null" or (found is not None and found.st_size == 0)


def enabled(root: Root, unit: str, *names: str) -> bool:
    """Whether systemd starts *unit* (with its suffix), or another system a service of one of *names*."""
    if masked(root, unit):
        return False
    for folder in root.names(UNITS):
        if folder.endswith((".wants", ".requires")) and unit in root.names(f"{UNITS}/{folder}"):
            return True
    started = {entry for folder in _OTHERS for entry in root.names(folder)}
    return any(entry in names or (entry[:1] == "S" and entry[3:] in names) for entry in started)
