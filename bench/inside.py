# SPDX-License-Identifier: BSD-2-Clause
"""The loop that measures. It is copied into a node and runs there by itself, so it imports nothing of this tree.

``python3 inside.py PLAN.json``, where the plan is what :class:`bench.site.Plan` writes. Every contestant has its turn
in each round, in one order and then in the other, so that a neighbour who slows the machine down slows all of them.
Stdout is one JSON object a line: ``{"who": …, "round": …, "seconds": …, "peak_mib": …}``. Rounds below 0 are for
warming up.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from typing import Any


def turns(contestants: list[Any], rounds: int, warm_up: int) -> Iterator[tuple[int, Any]]:
    """Whose turn it is, with the number of the round."""
    for number in range(-warm_up, rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            yield number, contestant


def filled(text: str, volume: str) -> str:
    """*text* with the name of this turn's volume."""
    return text.replace("{volume}", volume)


def timed(steps: list[list[str]], env: dict[str, str]) -> tuple[float, int]:
    """Run the programs *steps* one after the other, each as a whole process.

    The seconds that took in all, and the memory in MiB of the largest process among them and their children.
    """
    total, peak_kib = 0.0, 0
    for argv in steps:
        with tempfile.TemporaryFile() as said:
            begin = time.perf_counter()
            process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            # No wait with a time limit: Python polls then, in steps of up to 50 ms.
            _, ended, used = os.wait4(process.pid, 0)
            total += time.perf_counter() - begin
            status = process.returncode = os.waitstatus_to_exitcode(ended)
            peak_kib = max(peak_kib, used.ru_maxrss)
            if status != 0:
                said.seek(0)
                words = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
                raise SystemExit(f"{' '.join(argv)}: exit {status}: {' '.join(words[-2:])}")
    return total, peak_kib // 1024


def main(path: str) -> int:
    with open(path, encoding="utf-8") as stream:
        plan = json.load(stream)
    for number, contestant in turns(plan["contestants"], plan["rounds"], plan["warm_up"]):
        volume = f"{uuid.uuid4()}.ext.disk0"
        before, steps, after = (
            [[filled(word, volume) for word in argv] for argv in contestant[key]]
            for key in ("before", "steps", "after")
        )
        env = {**plan["env"], **{key: filled(value, volume) for key, value in contestant["env"].items()}}
        timed(before, env)
        seconds, peak_mib = timed(steps, env)
        timed(after, env)
        sample = {"who": contestant["name"], "round": number, "seconds": seconds, "peak_mib": peak_mib}
        sys.stdout.write(json.dumps(sample) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
