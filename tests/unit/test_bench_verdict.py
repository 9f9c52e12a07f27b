# SPDX-License-Identifier: BSD-2-Clause
"""What the comparisons make of their samples."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.verdict import Contrast, Outcome, Verdict, judge, mebibytes, microseconds, rate, table
from ganeti_cloud.errors import CloudError

FIRST = Contrast("create against rbd", ours="ours", peer="rbd", at_most=0.8)
COPY = Contrast("create against a copy", ours="ours", peer="copy")


def test_medians_are_compared_and_not_means() -> None:
    verdict = judge("clone", [FIRST], {"ours": [0.0625, 9.0, 0.05], "rbd": [0.125, 0.5, 0.25, 0.125]})
    outcome = verdict.outcomes[0]
    assert (outcome.ours_s, outcome.peer_s) == (0.0625, 0.1875)
    assert outcome.ratio == outcome.ours_s / outcome.peer_s


@pytest.mark.parametrize(
    ("ours", "ok"),
    [
        pytest.param(0.079, True, id="below"),
        pytest.param(0.08, True, id="exactly"),
        pytest.param(0.081, False, id="above"),
    ],
)
def test_a_goal_is_reached_up_to_and_at_its_number(ours: float, ok: bool) -> None:
    assert judge("clone", [FIRST], {"ours": [ours], "rbd": [0.1]}).ok is ok


def test_a_ratio_that_only_rounds_to_the_goal_is_short() -> None:
    verdict = judge("clone", [FIRST], {"ours": [0.80001], "rbd": [1.0]})
    assert verdict.lines()[-1] == "clone ours=800.0ms peer=1000.0ms ratio=0.800 goal=<=0.80 short"


def test_the_lines_tell_every_contrast_and_the_last_judges_all() -> None:
    second = Contrast("large against small", ours="ours", peer="small", at_most=1.1)
    samples = {"ours": [0.06], "rbd": [0.12], "small": [0.05], "copy": [1.5]}
    assert judge("clone", [FIRST, second, COPY], samples).lines() == [
        "  create against rbd: ours=60.0ms peer=120.0ms ratio=0.500 goal=<=0.80 ok",
        "  large against small: ours=60.0ms peer=50.0ms ratio=1.200 goal=<=1.10 short",
        "  create against a copy: ours=60.0ms peer=1500.0ms ratio=0.040",
        "clone ours=60.0ms peer=120.0ms ratio=0.500 goal=<=0.80 short",
    ]


def test_a_contrast_without_a_goal_cannot_be_short() -> None:
    assert judge("clone", [FIRST, COPY], {"ours": [0.06], "rbd": [0.12], "copy": [0.01]}).ok


def test_who_was_never_measured_is_named() -> None:
    with pytest.raises(CloudError, match="^clone: no sample of copy, rbd$"):
        judge("clone", [FIRST, COPY], {"ours": [0.06], "rbd": []})


def test_the_table_has_a_row_for_each_also_for_what_failed() -> None:
    clone = Verdict("clone", [Outcome(FIRST, 0.06, 0.12)])
    shown = Verdict("copies", [Outcome(COPY, 0.06, 12.0)])
    assert table({"clone": clone, "copies": shown, "attach": None}) == [
        "comparison    ours       peer  ratio    goal",
        "clone       60.0ms    120.0ms  0.500  <=0.80  ok",
        "copies      60.0ms  12000.0ms  0.005       -  ok",
        "attach           -          -      -       -  failed",
    ]


@pytest.mark.parametrize(
    ("show", "said"),
    [
        (rate, "ours=8000/s peer=4000/s"),
        (microseconds, "ours=125.0us peer=250.0us"),
        (mebibytes, "ours=0.0MiB peer=0.0MiB"),
    ],
)
def test_what_is_no_time_in_milliseconds_is_shown_as_what_it_is(show: Callable[[float], str], said: str) -> None:
    contrast = Contrast("leases", ours="ours", peer="peer", at_most=0.5, show=show)
    verdict = judge("dhcp", [contrast], {"ours": [1 / 8000], "peer": [1 / 4000]})
    assert verdict.lines()[-1] == f"dhcp {said} ratio=0.500 goal=<=0.50 ok"
    assert table({"dhcp": verdict})[1].split()[1:3] == [word.partition("=")[2] for word in said.split()]
