# SPDX-License-Identifier: BSD-2-Clause
"""The loop that runs in a node: who has a turn when, what is timed, and what it says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import inside
from bench.site import Contestant, Plan, Reader


def test_turns_are_interleaved_and_change_their_order() -> None:
    assert list(inside.turns(["ours", "peer"], 2, 1)) == [
        (-1, "peer"),
        (-1, "ours"),
        (0, "ours"),
        (0, "peer"),
        (1, "peer"),
        (1, "ours"),
    ]


def test_a_run_writes_one_line_a_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "made"
    write = f"import os, sys; open({str(made)!r}, 'a').write(os.environ['VOL'] + ' ' + sys.argv[1] + ' ')"
    remove = f"import sys; open({str(made)!r}, 'a').write(sys.argv[1] + '\\n')"
    contestant = Contestant(
        "ours",
        [[sys.executable, "-c", write, "{volume}"]],
        env={"VOL": "{volume}"},
        after=[[sys.executable, "-c", remove, "{volume}"]],
        before=[[sys.executable, "-c", remove.replace("\\n", " "), "{volume}"]],
    )
    plan = Plan([contestant], rounds=2)
    order = tmp_path / "plan.json"
    order.write_text(plan.to_json(), encoding="utf-8")
    assert inside.main(str(order)) == 0

    names = [line.split() for line in made.read_text(encoding="utf-8").splitlines()]
    assert all(len(set(line)) == 1 for line in names)
    assert len({line[0] for line in names}) == 3  # a warm-up and two rounds, each with a volume of its own
    samples = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(sample["who"], sample["round"]) for sample in samples] == [("ours", -1), ("ours", 0), ("ours", 1)]
    assert all(sample["seconds"] > 0 and 0 <= sample["peak_mib"] < 1000 for sample in samples)


def test_the_largest_process_counts_wherever_it_is() -> None:
    large = "x = bytearray(80 << 20); import time; time.sleep(0.5)"
    below = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {large!r}])"
    _, peak_mib = inside.timed([[sys.executable, "-c", below]], {})
    assert 80 <= peak_mib < 120


def test_a_program_that_fails_ends_the_run_and_is_quoted() -> None:
    failing = [sys.executable, "-c", "import sys; sys.exit('error: no pool\\nhint: make one')"]
    with pytest.raises(SystemExit, match="exit 1: error: no pool hint: make one$"):
        inside.timed([failing], {})


def test_the_reader_puts_pieces_together_and_leaves_the_warm_up_out() -> None:
    told: list[int] = []
    reader = Reader(Plan([Contestant("ours", []), Contestant("peer", [])], rounds=2), told.append)
    samples = [("ours", -1, 9.0), ("peer", -1, 9.0), ("ours", 0, 0.5), ("peer", 0, 1.0), ("peer", 1, 1.5)]
    text = "".join(
        json.dumps({"who": who, "round": number, "seconds": s, "peak_mib": int(10 * s)}) + "\n"
        for who, number, s in samples
    )
    for start in range(0, len(text), 7):
        reader.feed(text[start : start + 7])
    assert (reader.samples, told) == ({"ours": [0.5], "peer": [1.0, 1.5]}, [1])
    assert reader.peaks_mib == {"ours": 5, "peer": 15}
