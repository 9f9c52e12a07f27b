# SPDX-License-Identifier: BSD-2-Clause
"""Reading what a guest says on its serial console."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from ganeti_cloud.errors import CloudError
from lab.node import Node
from lab.spec import DOMAIN

_CAP_BYTES = 1 << 20
_RETRY_S = 0.1


@dataclass(frozen=True, slots=True)
class GuestReport:
    """What the test guest says once a second. *image_sha256* is that of its disk at boot, ``none`` without a disk.

    The rest tells of the writer on its second disk (``guest_writer.py``), and is 0 when there is none: *writes* are
    durable, *verified* are slots that were read again, *mismatches* those that did not hold what they had to, *errors*
    what the disk refused.
    """

    uptime_s: int
    image_sha256: str
    disk_bytes: int
    writes: int = 0
    verified: int = 0
    mismatches: int = 0
    errors: int = 0


_REPORT = (
    r"lab-guest: uptime=(\d+) image-sha256=([0-9a-f]{64}|none) disk-bytes=(\d+)"
    r" writes=(\d+) verified=(\d+) mismatches=(\d+) errors=(\d+)\r?\n"
)


def guest_report(node: Node, instance: str, *, timeout_s: float, disk_bytes: int | None = None) -> GuestReport:
    """The next report of the test guest in *instance*, or the first by which its disk has *disk_bytes*.

    Raises CloudError when none comes in time.
    """
    report = _REPORT if disk_bytes is None else _REPORT.replace(r"disk-bytes=(\d+)", f"disk-bytes=({disk_bytes})")
    found = read_until(node, instance, report, timeout_s=timeout_s)
    return GuestReport(int(found[1]), found[2], *(int(number) for number in found.groups()[2:]))


def serial_socket(node: Node, instance: str) -> Path:
    """Where QEMU listens for a client of the console of *instance*, as a path of the machine."""
    # /run and not /var/run: that is an absolute link, which would lead to the machine's own.
    return node.root / "run/ganeti/kvm-hypervisor/ctrl" / f"{full_name(instance)}.serial"


def full_name(instance: str) -> str:
    """``inst1`` as Ganeti calls it."""
    return instance if "." in instance else f"{instance}.{DOMAIN}"


def read_until(node: Node, instance: str, pattern: str, *, timeout_s: float) -> re.Match[str]:
    """Listen to the console of *instance* on *node* until *pattern* is found, and return the match.

    What was said before is lost: QEMU keeps nothing for a later client. Raises CloudError when the time is over.
    """
    wanted, heard, end = re.compile(pattern), "", time.monotonic() + timeout_s
    while (left_s := end - time.monotonic()) > 0:
        try:
            with connect(serial_socket(node, instance), left_s) as client:
                while piece := client.recv(4096):
                    heard = (heard + piece.decode(errors="replace"))[-_CAP_BYTES:]
                    if found := wanted.search(heard):
                        return found
                    client.settimeout(max(0.01, end - time.monotonic()))
        except OSError:
            pass  # not there yet, or gone in a reboot or a migration
        time.sleep(_RETRY_S)
    raise CloudError(
        f"{instance} on {node.name}: no {pattern!r} on its console in {timeout_s:g} s",
        hint=f"the last it said: {_last_line(heard)}",
    )


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A client of the Unix socket *path*."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        client.settimeout(timeout_s)
        client.connect(str(path))
    except BaseException:
        client.close()
        raise
    return client


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing"
