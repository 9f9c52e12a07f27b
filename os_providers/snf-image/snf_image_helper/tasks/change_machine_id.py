# SPDX-License-Identifier: BSD-2-Clause
"""ChangeMachineId: no two machines are to have the same machine-id(5)."""

from __future__ import annotations

from snf_image_helper.task import Work

MACHINE_ID = "/etc/machine-id"
DBUS = "/var/lib/dbus/machine-id"
DBUS_LINK = "/etc/machine-id"


def run(work: Work) -> None:
    """Empty the identity: systemd makes one at boot. Without the file it would also reset which services start.

    D-Bus keeps a copy on older systems: it becomes a link, as on newer ones.
    """
    root = work.root
    if root.link_text(MACHINE_ID) is not None:
        root.remove(MACHINE_ID)
        root.write(MACHINE_ID, b"", mode=0o444)
    elif root.exists(MACHINE_ID):
        root.write(MACHINE_ID, b"")
    if root.link_text(DBUS) is None and root.exists(DBUS):
        if root.exists(MACHINE_ID):
            root.link(DBUS_LINK, DBUS)
        else:
            # Without systemd D-Bus makes its own when it starts: dbus-uuidgen(1).
            root.remove(DBUS)
