# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: move a volume, and die with SIGKILL right before one of the effects of that.

Usage: interrupting.py EFFECT ARGUMENT...

EFFECT is a number, or the beginning of an effect's name. The ARGUMENTs are those of ``archipelago volume migrate``. It
prints what it died before, and is killed; when there are fewer effects, it does what the command does.
An effect is whatever changes something outside the process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from archipelago import attaching, cli, opening
from archipelago.migrating import copying, record
from archipelago.rados.store import RadosStore
from ganeti_cloud import qmp

EFFECTS: list[tuple[Any, str]] = [
    (RadosStore, "set_moving"),
    (RadosStore, "create"),
    (RadosStore, "set_metadata"),
    (RadosStore, "drop_strangers"),
    (RadosStore, "remove"),
    (attaching, "attach"),
    (attaching, "detach"),
    (opening, "open_volume"),
    (copying, "copy"),
    (record, "change"),
    (qmp.Client, "execute"),
    (os, "symlink"),
]
# The commands of QEMU that change nothing.
LOOKING = ("query-", "qmp_capabilities")


class Countdown:
    """Kills the process before the effect that was asked for."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._seen = 0

    def before(self, effect: str) -> None:
        self._seen += 1
        if self._wanted == str(self._seen) or (not self._wanted.isdigit() and effect.startswith(self._wanted)):
            sys.stdout.write(f"{self._seen} {effect}\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)


def deadly(effect: Callable[..., Any], name: str, countdown: Countdown) -> Callable[..., Any]:
    def wrapper(*arguments: Any, **named: Any) -> Any:
        shown = arguments[1] if name == "execute" else name
        if not shown.startswith(LOOKING):
            countdown.before(shown)
        return effect(*arguments, **named)

    return wrapper


def main() -> int:
    countdown = Countdown(sys.argv[1])
    for holder, name in EFFECTS:
        setattr(holder, name, deadly(getattr(holder, name), name, countdown))
    sys.argv = ["archipelago", "volume", "migrate", *sys.argv[2:]]
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
