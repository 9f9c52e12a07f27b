# SPDX-License-Identifier: BSD-2-Clause
"""What is told of a deployment, to whom, and how often."""

from __future__ import annotations

import pytest

from ganeti_cloud.messages import Event
from snf_image import telling
from snf_image.copying import Percent
from snf_image.telling import Teller, Told
from snf_image_helper.lines import Line
from tests.unit.snfsettings import Ear


def test_each_message_has_the_fields_of_the_original() -> None:
    ear = Ear()
    ear.teller.info("Starting image copy...")
    ear.teller.copied(512, 2048)
    ear.teller.line(Line("task-start", "AddSwap", ""))
    ear.teller.line(Line("warning", "AddSwap", "no room"))
    ear.teller.line(Line("success", "", ""))
    ear.teller.error("it\nfailed")
    assert ear.told == [
        Told("image-info", {"messages": ["Starting image copy..."]}),
        Told("image-copy-progress", {"position": 512, "total": 2048, "progress": 25.0}),
        Told("image-helper", {"subtype": "task-start", "task": "AddSwap", "messages": []}),
        Told("image-helper", {"subtype": "warning", "task": "AddSwap", "messages": ["no room"]}),
        Told("image-error", {"messages": ["it failed"]}),
    ]


def test_every_message_makes_an_event() -> None:
    events: list[Event] = []
    teller = Teller([telling.to_spool("vm1", events.append)], lambda text: None)
    teller.info("begins")
    teller.copied(1, 2)
    teller.line(Line("task-end", "AddSwap", ""))
    teller.error("fails")
    assert all(event.encode() for event in events)
    assert len({event.id for event in events}) == 4
    assert {event.subject for event in events} == {"vm1"}


def test_the_copy_is_told_every_few_seconds_and_at_its_end() -> None:
    now = [0.0]
    told: list[Told] = []
    teller = Teller([told.append], lambda text: None, copy_pause_s=3, clock=lambda: now[0])
    for second in range(10):
        now[0] = float(second)
        teller.copied(second, 10)
    teller.copied(10, 10)
    teller.copied(10, 10)
    assert [each.fields["position"] for each in told] == [0, 3, 6, 9, 10]


def test_no_secret_is_told() -> None:
    ear = Ear()
    ear.teller.secrets = ("canary", "x")
    ear.teller.info("a canary")
    ear.teller.line(Line("error", "ChangePassword", "canary!"))
    ear.teller.error("canary x")
    ear.teller.console("says canary")
    assert ear.texts == ["a <hidden>", "<hidden>!", "<hidden> x"]
    assert ear.console == ["says <hidden>"]


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (Told("image-info", {"messages": ["a", "b"]}), "info: a b"),
        (Told("image-error", {"messages": ["a"]}), "error: a"),
        (
            Told("image-copy-progress", {"position": 1, "total": 4, "progress": 25.0}),
            "copy: 1 of 4 bytes, 25.0 %",
        ),
        (
            Told("image-helper", {"subtype": "warning", "task": "AddSwap", "messages": ["x"]}),
            "helper: warning: AddSwap: x",
        ),
        (Told("image-helper", {"subtype": "error", "messages": ["x"]}), "helper: error: x"),
    ],
)
def test_the_log_has_a_line_for_each(told: Told, line: str) -> None:
    assert telling.sentence(told) == line


def test_the_progress_of_qemu_img_comes_in_pieces() -> None:
    percent = Percent()
    read = [percent.read(text) for text in ("    (0.00/", "100%)\r    (1.0", "2/100%)\r    (3.00/100%)\r", "x" * 999)]
    assert read == [None, 0.0, 3.0, None]
    assert percent.read("(100.00/100%)") == 100.0
