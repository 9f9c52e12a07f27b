# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: kill a script of the provider at random moments, and tell what it left. Prints JSON.

Usage: killing.py VERB ROUNDS SEED ORIGIN WHERE

WHERE is `rados`, or the folder of a pool of the driver `file`.

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
from typing import Protocol

SCRIPTS = "/usr/share/ganeti/extstorage/archipelago"
MIB = 1 << 20


class Eyes(Protocol):
    """A second client of the store."""

    def look(self, name: str) -> bool | None:
        """Whether the volume *name* has all that it was made of; None when there is none."""

    def size(self, name: str) -> int:
        """The size of the volume *name* in bytes."""

    def left(self) -> list[str]:
        """All that is in the store."""


class Ceph:
    """A client of Ceph."""

    def __init__(self) -> None:
        import rados
        import rbd

        self.rbd = rbd
        self.cluster = rados.Rados(conffile="/etc/ceph/ceph.conf", conf={"rados_osd_op_timeout": "60"})
        self.cluster.connect()
        self.pool = self.cluster.open_ioctx("rbd")

    def look(self, name: str) -> bool | None:
        try:
            with self.rbd.Image(self.pool, name, read_only=True) as image:
                image.get_parent_image_spec()
        except self.rbd.ImageNotFound:
            # the same exception for "no such volume" and "no parent": the second opens
            try:
                self.rbd.Image(self.pool, name, read_only=True).close()
            except self.rbd.ImageNotFound:
                return None
            return self._has_parent(name)
        return True

    def _has_parent(self, name: str) -> bool:
        """Look again, in one step: the volume may have been published between the two looks."""
        try:
            image = self.rbd.Image(self.pool, name, read_only=True)
        except self.rbd.ImageNotFound:
            return True  # gone again
        try:
            image.get_parent_image_spec()
        except self.rbd.ImageNotFound:
            return False
        finally:
            image.close()
        return True

    def size(self, name: str) -> int:
        with self.rbd.Image(self.pool, name, read_only=True) as image:
            image.get_parent_image_spec()
            return int(image.size())

    def left(self) -> list[str]:
        return list(self.rbd.RBD().list(self.pool))


class Folder:
    """A reader of the shared folder *path*, that of one pool."""

    def __init__(self, path: str) -> None:
        self.path = path

    def _chain(self, name: str) -> list[str] | None:
        try:
            with open(f"{self.path}/volumes/{name}.json", encoding="utf-8") as stream:
                chain = json.load(stream)["chain"]
        except FileNotFoundError:
            return None
        return [f"{self.path}/data/{file.partition('/')[2]}" for file in chain]

    def look(self, name: str) -> bool | None:
        time.sleep(0.001)
        chain = self._chain(name)
        if chain is None:
            return None
        if all(self._begins_right(path) for path in chain):
            return True
        return None if self._chain(name) != chain else False  # removed meanwhile

    def _begins_right(self, path: str) -> bool:
        """An image of these tests begins with random bytes, an overlay with its mark."""
        try:
            with open(path, "rb") as stream:
                return any(stream.read(512))
        except FileNotFoundError:
            return False

    def size(self, name: str) -> int:
        chain = self._chain(name)
        assert chain is not None
        info = ["qemu-img", "info", "-U", "--output=json", chain[0]]
        done = subprocess.run(info, capture_output=True, check=True)
        return int(json.loads(done.stdout)["virtual-size"])

    def left(self) -> list[str]:
        return sorted(
            f"{kind}/{name}"
            for kind in ("volumes", "data", "making", "open", "trash")
            for name in os.listdir(f"{self.path}/{kind}")
        )


class Watch:
    """Looks at the volume again and again; counts the moments in which it was there and not whole."""

    def __init__(self, eyes: Eyes, name: str) -> None:
        self.eyes, self.name = eyes, name
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
        """One look, at about 10 ms each with Ceph."""
        self.looks += 1
        if self.eyes.look(self.name) is False:
            self.orphans += 1


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


def one_round(eyes: Eyes, verb: str, origin: str, delay_s: float) -> tuple[str, list[str], int]:
    """Kill *verb* after *delay_s*: how it ended, what went wrong after that, and how many looks there were."""
    volume = f"{os.urandom(8).hex()}.ext.disk0"
    wrong = []
    if verb != "create":
        status, err = finish("create", volume, origin)
        if status != 0:
            wrong.append(f"create before: {err}")
    with Watch(eyes, volume) as watch:
        process = start(verb, volume, origin)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    end = "killed" if process.returncode == -signal.SIGKILL else f"ended {process.returncode}"
    watch.look()
    if verb != "remove" and watch.orphans:
        wrong.append(f"{watch.orphans} times the volume was there and not whole")
    wrong += again(eyes, verb, volume, origin)
    return end, wrong, watch.looks


def again(eyes: Eyes, verb: str, volume: str, origin: str) -> list[str]:
    """Run *verb* a second time, and then ``remove``; what of it was not as it should be."""
    wrong = []
    status, err = finish(verb, volume, origin)
    existed = verb == "create" and "exists already" in err
    if status != 0 and not existed:
        wrong.append(f"{verb} again: {err}")
    if verb == "remove":
        return wrong
    wanted = 96 if verb == "grow" else 64
    if eyes.size(volume) != wanted * MIB:
        wrong.append(f"size {eyes.size(volume)}")
    status, err = finish("remove", volume, origin)
    if status != 0:
        wrong.append(f"remove at the end: {err}")
    return wrong


def main() -> None:
    verb, rounds, seed, origin, where = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
    chance = random.Random(seed)
    eyes: Eyes = Ceph() if where == "rados" else Folder(where)
    limit = usual_seconds(verb, origin)
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    looks = 0
    for _ in range(rounds):
        end, faults, seen = one_round(eyes, verb, origin, chance.uniform(0.1, 1.1) * limit)
        ends[end] += 1
        wrong += faults
        looks += seen
    report = {"usual_s": limit, "ends": ends, "wrong": wrong, "looks": looks, "left": eyes.left()}
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
