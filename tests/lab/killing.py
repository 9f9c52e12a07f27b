# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: kill a script of the provider at random moments, and tell what it left. Prints JSON.

Usage: killing.py VERB ROUNDS SEED ORIGIN

While the script runs and after it was killed, a second client looks at the volume under its final name all the time.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import rados
import rbd

SCRIPTS = "/usr/share/ganeti/extstorage/archipelago"
MIB = 1 << 20


class Watch:
    """Opens the volume again and again; counts the moments in which it opened and had no parent."""

    def __init__(self, pool: rados.Ioctx, name: str) -> None:
        self.pool, self.name = pool, name
        self.looks = self.orphans = 0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Watch:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.stop.is_set():
            self.look()

    def look(self) -> None:
        """One look, at about 10 ms each."""
        self.looks += 1
        try:
            with rbd.Image(self.pool, self.name, read_only=True) as image:
                image.get_parent_image_spec()
        except rbd.ImageNotFound:
            # the same exception for "no such volume" and "no parent": the second opens
            try:
                rbd.Image(self.pool, self.name, read_only=True).close()
            except rbd.ImageNotFound:
                return
            if not self._has_parent():
                self.orphans += 1

    def _has_parent(self) -> bool:
        """Look again, in one step: the volume may have been published between the two looks."""
        try:
            image = rbd.Image(self.pool, self.name, read_only=True)
        except rbd.ImageNotFound:
            return True  # gone again
        try:
            image.get_parent_image_spec()
        except rbd.ImageNotFound:
            return False
        finally:
            image.close()
        return True


def start(verb: str, volume: str, origin: str) -> subprocess.Popen[str]:
    env = {
        "VOL_NAME": volume,
        "VOL_SIZE": "64",
        "VOL_NEW_SIZE": "96",
        "EXTP_PROVIDER": "archipelago",
        "EXTP_ORIGIN": origin,
    }
    return subprocess.Popen([f"{SCRIPTS}/{verb}"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(verb: str, volume: str, origin: str) -> tuple[int, str]:
    process = start(verb, volume, origin)
    _, err = process.communicate(timeout=120)
    return process.returncode, err


def usual_seconds(verb: str, origin: str) -> float:
    """How long the verb takes when nothing disturbs it."""
    times = []
    for number in range(3):
        volume = f"usual{number}.ext.disk0"
        if verb != "create":
            finish("create", volume, origin)
        begin = time.monotonic()
        finish(verb, volume, origin)
        times.append(time.monotonic() - begin)
        finish("remove", volume, origin)
    return sorted(times)[1]


def one_round(pool: rados.Ioctx, verb: str, origin: str, delay_s: float) -> tuple[str, list[str], int]:
    """Kill *verb* after *delay_s*: how it ended, what went wrong after that, and how many looks there were."""
    volume = f"{os.urandom(8).hex()}.ext.disk0"
    wrong = []
    if verb != "create":
        status, err = finish("create", volume, origin)
        if status != 0:
            wrong.append(f"create before: {err}")
    with Watch(pool, volume) as watch:
        process = start(verb, volume, origin)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    end = "killed" if process.returncode == -signal.SIGKILL else f"ended {process.returncode}"
    watch.look()
    if verb != "remove" and watch.orphans:
        wrong.append(f"{watch.orphans} times the volume opened without a parent")
    wrong += again(pool, verb, volume, origin)
    return end, wrong, watch.looks


def again(pool: rados.Ioctx, verb: str, volume: str, origin: str) -> list[str]:
    """Run *verb* a second time, and then ``remove``; what of it was not as it should be."""
    wrong = []
    status, err = finish(verb, volume, origin)
    existed = verb == "create" and "exists already" in err
    if status != 0 and not existed:
        wrong.append(f"{verb} again: {err}")
    if verb == "remove":
        return wrong
    with rbd.Image(pool, volume, read_only=True) as image:
        image.get_parent_image_spec()
        wanted = 96 if verb == "grow" else 64
        if image.size() != wanted * MIB:
            wrong.append(f"size {image.size()}")
    status, err = finish("remove", volume, origin)
    if status != 0:
        wrong.append(f"remove at the end: {err}")
    return wrong


def main() -> None:
    verb, rounds, seed, origin = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    chance = random.Random(seed)
    cluster = rados.Rados(conffile="/etc/ceph/ceph.conf", conf={"rados_osd_op_timeout": "60"})
    cluster.connect()
    pool = cluster.open_ioctx("rbd")
    limit = usual_seconds(verb, origin)
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    looks = 0
    for _ in range(rounds):
        end, faults, seen = one_round(pool, verb, origin, chance.uniform(0.1, 1.1) * limit)
        ends[end] += 1
        wrong += faults
        looks += seen
    json.dump(
        {"usual_s": limit, "ends": ends, "wrong": wrong, "looks": looks, "left": rbd.RBD().list(pool)}, sys.stdout
    )


if __name__ == "__main__":
    main()
