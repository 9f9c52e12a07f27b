# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: move a volume, and die with SIGKILL right before the effect of a given number.

Usage: interrupting.py EFFECT ARGUMENT...

The ARGUMENTs are those of ``archipelago volume migrate``. Status -9: it died; anything else: there were fewer effects.
The effects are whatever changes something outside the process.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from archipelago import attaching, cli
from archipelago.ganeti import ssconf
from archipelago.migrating import copying, mirror, move, record
from archipelago.rados.store import RadosStore

assert ssconf.master_node()

EFFECTS: list[tuple[Any, str]] = [
    (RadosStore, "set_moving"),
    (RadosStore, "create"),
    (RadosStore, "set_metadata"),
    (RadosStore, "remove"),
    (attaching, "attach"),
    (attaching, "detach"),
    (copying, "copy"),
    (record, "change"),
    (mirror.qmp.Client, "execute"),
    (os, "symlink"),
    (os, "replace"),
]
# What only looks, of the commands of QEMU.
LOOKING = ("query-", "qmp_capabilities")


def main() -> int:
    left = int(sys.argv[1])

    def deadly(effect: Callable[..., Any], name: str) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if not (name == "execute" and arguments[1].startswith(LOOKING)):
                left -= 1
                if left == 0:
                    print(f"dies before {name} {arguments[1:3] if name == 'execute' else ''}", flush=True)
                    os.kill(os.getpid(), signal.SIGKILL)
            return effect(*arguments, **named)

        return wrapper

    for holder, name in EFFECTS:
        setattr(holder, name, deadly(getattr(holder, name), name))
    sys.argv = ["archipelago", "volume", "migrate", *sys.argv[2:]]
    return cli.main()


assert move
if __name__ == "__main__":
    sys.exit(main())
