# SPDX-License-Identifier: BSD-2-Clause
"""Finding the processes of a lab's nodes, and ending them."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.boot import MARK

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Init:
    """PID 1 of a node, with its number on the machine."""

    pid: int
    lab: str
    node: str


def init_of(pid: int) -> Init | None:
    """What node *pid* is PID 1 of; None for any other process, and for none at all."""
    found = _marked(pid)
    return found if found is not None and _is_first(pid) else None


def _marked(pid: int) -> Init | None:
    try:
        raw = (PROC / str(pid) / "environ").read_bytes()
        alive = (PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return None
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0"))
    environment = {key.decode(errors="replace"): value.decode(errors="replace") for key, _, value in pairs}
    lab, node = environment.get(MARK), environment.get(f"{MARK}_NODE")
    if not alive or lab is None or node is None:
        return None
    return Init(pid, lab, node)


def inits(lab: str) -> list[Init]:
    """PID 1 of each living node of *lab*, found in the process table and not in any record."""
    numbers = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    found = (init_of(number) for number in numbers)
    return [init for init in found if init is not None and init.lab == lab]


def kill_stragglers(lab: str) -> None:
    """End what was about to become a node of *lab* when its boot was interrupted."""
    for entry in PROC.iterdir():
        found = _marked(int(entry.name)) if entry.name.isdigit() else None
        if found is not None and found.lab == lab and not _is_first(found.pid):
            with suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)


def kill_init(init: Init, *, timeout_s: float = 20.0) -> bool:
    """End a node as a power cut does: its PID 1 and with it all its processes. False when some of them stay."""
    members = list(members_of(init.pid))
    try:
        os.kill(init.pid, signal.SIGKILL)
    except ProcessLookupError:
        return True
    end = time.monotonic() + timeout_s
    while any(_running(pid) for pid in (init.pid, *members)):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def members_of(pid: int) -> Iterator[int]:
    """All processes in the PID namespace of *pid*, without those in namespaces below it."""
    space = _namespace(pid, "pid")
    for entry in PROC.iterdir():
        if entry.name.isdigit() and space is not None and _namespace(int(entry.name), "pid") == space:
            yield int(entry.name)


def mount_tables(pid: int) -> Iterator[str]:
    """The text of each different mountinfo among the processes of the node of *pid*."""
    seen = set()
    for member in members_of(pid):
        space = _namespace(member, "mnt")
        if space is None or space in seen:
            continue
        seen.add(space)
        try:
            yield (PROC / str(member) / "mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue


def _namespace(pid: int, kind: str) -> str | None:
    try:
        return os.readlink(PROC / str(pid) / "ns" / kind)
    except OSError:
        return None


def _is_first(pid: int) -> bool:
    try:
        status = (PROC / str(pid) / "status").read_text(encoding="utf-8")
    except OSError:
        return False
    numbers = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
    return len(numbers) > 1 and numbers[-1] == "1"


def _running(pid: int) -> bool:
    try:
        text = (PROC / str(pid) / "stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"
