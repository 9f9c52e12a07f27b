# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: kill imports at random moments, and tell what they left. Prints JSON.

Usage: importing.py VERB ROUNDS SEED [BEFORE] FILE

The last FILE is imported or synced, and that is killed; with BEFORE, there is a version before it. After each kill the
catalogue has what it had, or all that was to come; and the next run does the whole.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter

NAME = "killed"


def archipelago(*words: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["archipelago", "image", *words], capture_output=True, timeout=120, check=False)


def versions() -> list[str]:
    """The SHA-256 of what is in the catalogue, the newest first."""
    return [each["sha256"] for each in json.loads(archipelago("list", "--versions", "--json").stdout)]


def again(verb: str, path: str) -> str:
    """Run *verb* until it is not told any more that the dead importer is at work; what it said if it failed."""
    end = time.monotonic() + 30
    while True:
        done = archipelago(verb, NAME, path)
        said = done.stderr.decode()
        if done.returncode == 0:
            return ""
        if "is being imported from" not in said or time.monotonic() > end:
            return said
        time.sleep(0.3)


def one_round(verb: str, paths: list[str], hashes: list[str], delay_s: float) -> tuple[str, list[str]]:
    wrong = []
    path, wanted = paths[-1], hashes[-1]
    before = hashes[:-1]
    argv = ["archipelago", "image", verb, NAME, path]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    end = "killed" if process.wait() == -signal.SIGKILL else "ended"
    left = versions()
    if left not in (before, [wanted, *before]):
        wrong.append(f"after the kill there is {left}")
    wrong += [said for said in [again(verb, path)] if said]
    out = archipelago("export", NAME, "-").stdout  # which also fails when the content is not what it should be
    if (hashlib.sha256(out).hexdigest(), versions()) != (wanted, [wanted, *before]):
        wrong.append(f"in the end there is {versions()}")
    if archipelago("remove", f"{NAME}@sha256:{wanted}").returncode != 0:
        wrong.append("remove")
    return end, wrong


def main() -> None:
    verb, rounds, seed, *paths = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]
    chance = random.Random(seed)
    hashes = []
    for path in paths:
        with open(path, "rb") as stream:
            hashes.append(hashlib.file_digest(stream, "sha256").hexdigest())
    for path in paths:
        begin = time.monotonic()
        archipelago("sync", NAME, path)
        limit = time.monotonic() - begin
    archipelago("remove", f"{NAME}@sha256:{hashes[-1]}")
    ends: Counter[str] = Counter()
    wrong: list[str] = []
    for _ in range(rounds):
        end, faults = one_round(verb, paths, hashes, chance.uniform(0.3, 1.1) * limit)
        ends[end] += 1
        wrong += faults
    json.dump({"usual_s": limit, "ends": ends, "wrong": wrong}, sys.stdout)


if __name__ == "__main__":
    main()
