# SPDX-License-Identifier: BSD-2-Clause
"""Four workers that make clones at once, in processes of their own or as threads of one. It is copied into a node and
runs there by itself, so it imports nothing of this tree.

``python3 crew.py ORDER.json`` measures; the order is what :func:`bench.workers.order` writes. A sample is the time that
all workers took together, divided by the clones that they made. Stdout is as of ``inside.py``. With the name of a
volume as a second argument that one is cloned, and nothing is measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rados
import rbd

Clone = Callable[[str], None]


def programs(steps: list[list[str]], env: dict[str, str]) -> Clone:
    """A clone is made by the programs *steps*, one after the other."""

    def clone(volume: str) -> None:
        filled = {key: value.replace("{volume}", volume) for key, value in env.items()}
        for argv in steps:
            words = [word.replace("{volume}", volume) for word in argv]
            done = subprocess.run(words, env=filled, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode != 0:
                raise SystemExit(f"{' '.join(words)}: exit {done.returncode}: {done.stderr.decode()[-300:]}")

    return clone


def library(pool: rados.Ioctx, order: dict[str, Any], *, whole: bool) -> Clone:
    """A clone is made by librbd in this process; the *whole* of it is resized, and has a note of its origin."""

    def clone(volume: str) -> None:
        rbd.RBD().clone(pool, order["image"], order["snapshot"], pool, volume)
        if whole:
            with rbd.Image(pool, volume) as image:
                image.resize(order["size"])
                image.metadata_set("ganeti-cloud.volume.origin", order["image"])

    return clone


def timed(clone: Clone, workers: int, each: int) -> tuple[float, list[str]]:
    """Let *workers* make *each* clones; the seconds for one, and the names of all."""
    names = [[f"{uuid.uuid4()}.ext.disk0" for _ in range(each)] for _ in range(workers)]

    def work(own: list[str]) -> None:
        for name in own:
            clone(name)

    with ThreadPoolExecutor(workers) as crew:
        begin = time.perf_counter()
        list(crew.map(work, names))
        seconds = time.perf_counter() - begin
    return seconds / (workers * each), [name for own in names for name in own]


def main(path: str) -> int:
    with open(path, encoding="utf-8") as stream:
        order = json.load(stream)
    cluster = rados.Rados(conffile=order["conf"], rados_id=order["user"])
    cluster.connect()
    pool = cluster.open_ioctx(order["pool"])
    if len(sys.argv) > 2:  # one clone for who starts a process for it
        library(pool, order, whole=True)(sys.argv[2])
        os._exit(0)
    clones: dict[str, Clone] = {
        name: programs(crew["steps"], {**order["env"], **crew["env"]}) for name, crew in order["programs"].items()
    }
    clones[order["whole"]] = library(pool, order, whole=True)
    clones[order["bare"]] = library(pool, order, whole=False)
    for number in range(-1, order["rounds"]):
        for who in clones if number % 2 == 0 else reversed(clones):
            seconds, made = timed(clones[who], order["workers"], order["each"])
            for name in made:
                rbd.RBD().remove(pool, name)
            sys.stdout.write(json.dumps({"who": who, "round": number, "seconds": seconds}) + "\n")
            sys.stdout.flush()
    pool.close()
    cluster.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
