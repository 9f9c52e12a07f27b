# SPDX-License-Identifier: BSD-2-Clause
"""The loop that measures. It is copied into a node and runs there by itself, so it imports nothing of this tree.

``python3 inside.py PLAN.json``, where the plan is what :class:`bench.site.Plan` writes. Every contestant has its turn
in each round, in one order and then in the other, so that a neighbour who slows the machine down slows all of them.
Stdout is one JSON object a line: ``{"who": …, "round": …, "seconds": …, "peak_mib": …}``. Rounds below 0 are for
warming up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

# The kernel keeps each process's peak, so that looking seldom is enough.
_LOOK_S = 0.2


def turns(contestants: list[Any], rounds: int, warm_up: int) -> Iterator[tuple[int, Any]]:
    """Whose turn it is, with the number of the round."""
    for number in range(-warm_up, rounds):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            yield number, contestant


def filled(text: str, volume: str) -> str:
    """*text* with the name of this turn's volume."""
    return text.replace("{volume}", volume)


class Watch:
    """Looks again and again at how much memory the process *pid* and those below it have used at most.

    What the kernel tells of ended children (getrusage(2)) does not do: nobody waits for those in a PID namespace.
    """

    def __init__(self, pid: int) -> None:
        self._pid, self._peak_kib = pid, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def end(self) -> int:
        """The most that was seen, in KiB, of one process."""
        self._over.set()
        self._thread.join()
        return self._peak_kib

    def _look(self) -> None:
        while True:
            self._peak_kib = max([self._peak_kib, *peaks_kib(self._pid)])
            if self._over.wait(_LOOK_S):
                return


def peaks_kib(pid: int) -> Iterator[int]:
    """Of the process *pid* and of all below it, the most that each has had in memory."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            yield from (int(line.split()[1]) for line in stream if line.startswith("VmHWM:"))
        with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as stream:
            children = stream.read().split()
    except OSError:  # it has ended
        return
    for child in children:
        yield from peaks_kib(int(child))


def timed(steps: list[list[str]], env: dict[str, str]) -> tuple[float, int]:
    """Run the programs *steps* one after the other, each as a whole process.

    The seconds that took in all, and the memory in MiB of the largest process among them and those they started.
    """
    total, peak_kib = 0.0, 0
    for argv in steps:
        with tempfile.TemporaryFile() as said:
            begin = time.perf_counter()
            process = subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            watch = Watch(process.pid)
            # No wait with a time limit: Python polls then, in steps of up to 50 ms.
            status = process.wait()
            total += time.perf_counter() - begin
            peak_kib = max(peak_kib, watch.end())
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
