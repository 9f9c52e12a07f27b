# SPDX-License-Identifier: BSD-2-Clause
"""The site's own scripts: for a tap that begins, and for one that ends."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ganeti_cloud.errors import CloudError
from kvm_ifup.port import BridgePort, Port, SwitchPort

UP_FOLDER = "/etc/ganeti/ifup-extra.d"
DOWN_FOLDER = "/etc/ganeti/ifdown-extra.d"

# All taps wait for one that is made: a script that has more to do starts it beside itself.
_SCRIPT_S = 15.0
_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class SiteScripts:
    """The executable files of two folders, in the order of their names; other names than run-parts(8) takes are left.

    What they are told is in their environment, and has been checked before; on their command line is nothing.
    """

    def __init__(self, up_folder: str = UP_FOLDER, down_folder: str = DOWN_FOLDER) -> None:
        self._up, self._down = Path(up_folder), Path(down_folder)

    def up(self, port: Port) -> None:
        """Run those for a tap that begins. Raises CloudError for the first that fails."""
        for path in _scripts(self._up):
            _run(path, port, "up")

    def down(self, port: Port) -> None:
        """Run all of those for a tap that ends. Raises the first CloudError when the last has run."""
        first = None
        for path in _scripts(self._down):
            try:
                _run(path, port, "down")
            except CloudError as err:
                first = first or err
        if first is not None:
            raise first


def _scripts(folder: Path) -> list[Path]:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    paths = [folder / name for name in names if set(name) <= _NAME]
    return [path for path in paths if path.is_file() and os.access(path, os.X_OK)]


def _run(path: Path, port: Port, action: str) -> None:
    status = path.stat()
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CloudError(
            f"{path}: not only root may write it, so it is not run as root", hint=f"chown root {path}; chmod 755 {path}"
        )
    # Imported here: most nodes have no scripts, and it costs as much as all of this.
    from ganeti_cloud.process import run

    run(
        [str(path)],
        timeout_s=_SCRIPT_S,
        env=environment(port, action),
        shown=str(path),
        hint="it is a script of this site: mend it, or take it out of the folder",
    )


def environment(port: Port, action: str) -> dict[str, str]:
    """What a script is told: of each value only what was checked, under Ganeti's name where there is one."""
    connection = port.connection
    if isinstance(connection, BridgePort | SwitchPort):
        mode = "bridged" if isinstance(connection, BridgePort) else "openvswitch"
        link = connection.bridge
    else:
        mode, link = "routed", connection.table
    return {
        "ACTION": action,
        "INTERFACE": port.tap,
        "INSTANCE": port.instance,
        "INTERFACE_INDEX": str(port.nic_index),
        "INTERFACE_UUID": port.nic_uuid,
        "MAC": port.mac.hex(":"),
        "MODE": mode,
        "LINK": link,
        "IP": "" if port.ip is None else str(port.ip),
        "IP6": "" if port.ip6 is None else str(port.ip6),
        "PROFILE": port.profile,
        "NETWORK_NAME": port.network,
        "NETWORK_TAGS": " ".join(port.network_tags),
        "TAGS": " ".join(port.instance_tags),
    }
