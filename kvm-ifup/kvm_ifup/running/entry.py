# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti calls for each tap: one program, and the name that it is called by says what is wanted.

Ganeti 3.0 and 3.1 call ``/etc/ganeti/kvm-vif-bridge`` when a tap begins, and nothing when it ends; Ganeti 3.2 calls
``/etc/ganeti/network/MODE/up`` and ``down``. What they say is in the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType
from typing import NoReturn

from ganeti_cloud.deadline import process_limit
from ganeti_cloud.errors import CloudError, RequestError, report
from ganeti_cloud.netvalues import is_interface_name
from kvm_ifup import settings
from kvm_ifup.deciding import deciding, environment
from kvm_ifup.port import Port
from kvm_ifup.running import assembly, device, journal, transaction

# More than all that is waited for on the way: the lock, the site's scripts, and the programs of each part.
_LIMIT_S = 240.0

# The taps by which Ganeti itself talks to its guests (--enable-instance-communication).
_GANETIS_OWN = "gnt.com."
_GANETIS_SCRIPTS = "/usr/lib/ganeti/network"

KEPT = (
    *("INTERFACE", "INTERFACE_INDEX", "INTERFACE_UUID", "INTERFACE_NAME", "INSTANCE", "TAGS"),
    *("MAC", "MODE", "LINK", "VLAN", "BRIDGE", "IP"),
    *("NETWORK_NAME", "NETWORK_UUID", "NETWORK_TAGS", "NETWORK_MAC_PREFIX"),
    *("NETWORK_SUBNET", "NETWORK_GATEWAY", "NETWORK_SUBNET6", "NETWORK_GATEWAY6"),
)
"""What is kept of Ganeti's variables, to decide anew with other tags."""


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    """Do what the program's name says; returns its exit status. Ganeti shows what is on stderr."""
    name = os.path.basename(argv[0])
    tap = environ.get("INTERFACE", "")
    try:
        if name not in _ACTIONS:
            raise RequestError(f"{name!r} is no script of kvm-ifup", hint=f"call one of {', '.join(_ACTIONS)}")
        if tap.startswith(_GANETIS_OWN):
            return _leave_to_ganeti(name, environ)
        signal.signal(signal.SIGTERM, _interrupted)
        late = CloudError(
            f"{tap}: not done within {_LIMIT_S:g} s", hint="the tap is down; see `journalctl -t kvm-ifup` for its steps"
        )
        with process_limit(_LIMIT_S, late):
            _ACTIONS[name](environ)
    except CloudError as err:
        journal.tell(f"{tap}: failed: {err}")
        sys.stdout.flush()
        sys.stderr.write(report(err))
        return err.exit_code
    return 0


def up(environ: Mapping[str, str]) -> None:
    """Make the tap of which *environ* tells. Raises CloudError, and then it is down."""
    try:
        port, node = decided(environ)
    except BaseException:
        close(environ.get("INTERFACE", ""))
        raise
    transaction.up(node, port, kept(environ))


def down(environ: Mapping[str, str]) -> None:
    """End the tap of which *environ* tells, if it is still that guest's. Raises CloudError."""
    tap = environ.get("INTERFACE", "")
    if not is_interface_name(tap):
        raise RequestError(f"INTERFACE={tap!r} is not the name of an interface", hint="Ganeti sets it")
    node = assembly.node(settings.load())
    if not transaction.down(node, tap, environ.get("INSTANCE", "")):
        journal.tell(f"{tap}: nothing is known of it, nothing to do")


def decided(environ: Mapping[str, str]) -> tuple[Port, transaction.Node]:
    """What the tap of which *environ* tells is to be, and what it is made of. Changes nothing. Raises CloudError."""
    nic = environment.read(environ)
    site = settings.load()
    return deciding.decide(nic, site), assembly.node(site)


def kept(environ: Mapping[str, str]) -> dict[str, str]:
    """What of *environ* is kept."""
    return {name: environ[name] for name in KEPT if name in environ}


def close(tap: str) -> None:
    """Let nothing pass through *tap*, if that is the name of one at all."""
    if is_interface_name(tap) and device.index(tap):
        assembly.closing().down(tap)


def _leave_to_ganeti(name: str, environ: Mapping[str, str]) -> int:
    """Ganeti 3.2 calls only us, in the place of its own script; before that it has set its tap up already."""
    mode = environ.get("MODE", "")
    script = f"{_GANETIS_SCRIPTS}/{mode}/{name}"
    if mode in environment.MODES and os.access(script, os.X_OK):
        os.execve(script, [script], dict(environ))
    return 0


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:
    raise CloudError("interrupted", hint="the tap is down; start the instance again")


_ACTIONS = {"kvm-vif-bridge": up, "up": up, "down": down}
