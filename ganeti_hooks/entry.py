# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti calls: whatever becomes of it, the operation goes on, and soon.

A hook of the first phase that fails stops the operation, and a control plane that misses an event reconciles; so what
goes wrong here goes to the journal, and the status is 0.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ganeti_cloud import spool
from ganeti_cloud.errors import CloudError
from ganeti_cloud.messages import Event
from ganeti_hooks import environment, journal, paths, settings, stamps, telling
from ganeti_hooks.bounded import done_within
from ganeti_hooks.environment import Call

# Longer than a disk that works ever takes; every operation waits as long for one that hangs.
TELL_S = 5.0
# More than the limit that the program has itself.
RELEASE_S = 45.0


class Places(NamedTuple):
    """Where things are on this node."""

    spool: Path = spool.FOLDER
    stamps: Path = stamps.FOLDER
    config: str = settings.CONFIG_FILE
    release: str = "/usr/share/ganeti-cloud/kvm-ifup/release"


def main(environ: Mapping[str, str], places: Places) -> None:
    """Do what is to be done in the hook of which *environ* tells; nothing in one that is not ours."""
    call = environment.read(environ)
    duty = paths.DUTIES.get(call.hook)
    if duty is None:
        return
    name = "-".join(call.hook)
    if not done_within(partial(_tell, call, places), TELL_S):
        journal.warn(f"{name}: {places.spool} hangs: the event of {_what(call)} is lost, after {TELL_S:g} s")
    if duty.releases and call.instance is not None and os.access(places.release, os.X_OK):
        argv = [places.release, call.instance.name]
        if not done_within(partial(os.execve, argv[0], argv, {}), RELEASE_S):
            journal.warn(f"{name}: {places.release} hangs; kvm-ifup-reconcile.timer clears the taps of {_what(call)}")


def _tell(call: Call, places: Places) -> None:
    """Leave the stamp and, on the master, the event. What fails is logged."""
    name = "-".join(call.hook)
    try:
        stamps.touch(places.stamps, call.hook)
    except OSError as err:
        journal.warn(f"{name}: {places.stamps}: {err.strerror}")
    try:
        if _is_here(call.master) and (what := telling.told(call, _prefixes(places.config))):
            spool.put(
                places.spool,
                Event(_new_id(), what.type, time.time_ns(), call.cluster, call.master, what.subject, what.fields),
            )
    except Exception as err:  # noqa: BLE001 - nobody above could say more of it
        journal.warn(f"{name}: the event of {_what(call)} is lost: {type(err).__name__}: {err}")


def _prefixes(path: str) -> tuple[str, ...]:
    """Those of the site. With a file that is wrong it is better to tell too much: whoever listens knows what is his."""
    try:
        return settings.prefixes(path)
    except CloudError as err:
        journal.warn(f"{err}; events of all instances are told")
        return ()


def _is_here(name: str) -> bool:
    """Whether *name* is this node's, as Ganeti itself finds that out (netutils.Hostname)."""
    if os.uname().nodename == name:
        return True
    import socket  # not needed on a master whose host name is that of Ganeti

    return socket.getfqdn() == name


def _new_id() -> str:
    """A random UUID (RFC 9562, 5.4); the module for them takes longer to load than the spool."""
    raw = bytearray(os.urandom(16))
    raw[6] = raw[6] & 0x0F | 0x40
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _what(call: Call) -> str:
    return call.instance.name if call.instance else call.object_name or call.object_type
