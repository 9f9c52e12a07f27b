# SPDX-License-Identifier: BSD-2-Clause
"""Runs on a node: call scripts of the provider for many volumes, some at a time, as noded does. Prints JSON.

Usage: cloning.py WORKERS ORIGIN VERB... < names of the volumes

For each volume the verbs run in turn until one fails. The output maps each name to the calls that were made: the verb,
its exit status, its seconds, and the last lines of its stderr.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

SCRIPTS = "/usr/share/ganeti/extstorage/archipelago"
# Longer than any script lets itself run but remove, which is not hindered here.
PATIENCE_S = 300

Call = tuple[str, int, float, str]


def one(verb: str, volume: str, origin: str) -> Call:
    """Call *verb* for *volume*."""
    env = {
        "VOL_NAME": volume,
        "VOL_SIZE": "64",
        "VOL_METADATA": f"originstname+{volume}",
        "VOL_OPEN_EXCLUSIVE": "True",
        "EXTP_PROVIDER": "archipelago",
        "EXTP_ACCESS": "kernelspace",
        "EXTP_ORIGIN": origin,
    }
    begin = time.monotonic()
    done = subprocess.run(
        [f"{SCRIPTS}/{verb}"],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return verb, done.returncode, time.monotonic() - begin, done.stderr


def all_of(verbs: list[str], volume: str, origin: str) -> list[Call]:
    """Call *verbs* for *volume* until one fails.

    One call is made again when Ceph's library itself broke off: that of Ceph 16.2 does in one of some ten thousand
    calls under load (an assertion of glibc on one of its locks), and every verb can be run twice.
    """
    calls: list[Call] = []
    for verb in verbs:
        calls.append(one(verb, volume, origin))
        if calls[-1][1] == -signal.SIGABRT and "pthread_mutex_lock" in calls[-1][3]:
            calls.append(one(verb, volume, origin))
        if calls[-1][1] != 0:
            break
    return calls


def main() -> None:
    workers, origin, verbs = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    volumes = sys.stdin.read().split()
    with ThreadPoolExecutor(workers) as pool:
        calls = pool.map(lambda volume: all_of(verbs, volume, origin), volumes)
        json.dump(dict(zip(volumes, calls, strict=True)), sys.stdout)


if __name__ == "__main__":
    main()
