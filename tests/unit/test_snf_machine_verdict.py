# SPDX-License-Identifier: BSD-2-Clause
"""What is made of what a machine said and of how it ended, and the limits of listening to it."""

from __future__ import annotations

import pytest

from ganeti_cloud.errors import CloudError
from snf_image.machine.channel import CONSOLE_BYTES, Console, Port
from snf_image.machine.verdict import Ending, Story, check
from snf_image_helper.lines import END, ERROR, LINES, START, SUCCESS, TEXT, WARNING, Line

GOOD_END = Ending(0, 0.0, "")
STARTED = Line(START, "AddSwap", "")
DONE = Line(END, "AddSwap", "")
FAILED = Line(ERROR, "AddSwap", "no room")
SUCCEEDED = Line(SUCCESS, "", "")


def story(*lines: Line) -> Story:
    told = Story()
    for line in lines:
        told.note(line)
    return told


def test_a_success_with_a_good_end_is_one() -> None:
    check(story(STARTED, DONE, SUCCEEDED), GOOD_END)


@pytest.mark.parametrize(
    ("lines", "ending", "sentence"),
    [
        pytest.param([], GOOD_END, "the helper machine said nothing before it ended", id="silence"),
        pytest.param(
            [],
            Ending(0, 0.0, "Kernel panic"),
            "the helper machine said nothing before it ended; its last words: Kernel panic",
            id="silence with a console",
        ),
        pytest.param(
            [STARTED], GOOD_END, "AddSwap: the helper machine ended before all was done", id="power off in a task"
        ),
        pytest.param([STARTED, DONE], GOOD_END, "the helper machine ended before all was done", id="between tasks"),
        pytest.param([STARTED, FAILED], GOOD_END, "AddSwap: no room", id="error"),
        pytest.param([STARTED, FAILED], Ending(None, 60.0, ""), "AddSwap: no room", id="error, then it hung"),
        pytest.param([FAILED, SUCCEEDED], GOOD_END, "AddSwap: no room", id="success after an error"),
        pytest.param([STARTED, Line(ERROR, "", "")], GOOD_END, "AddSwap: it gave no reason", id="error without words"),
        pytest.param(
            [SUCCEEDED, STARTED],
            GOOD_END,
            "AddSwap: the helper machine ended before all was done",
            id="more after success",
        ),
        pytest.param(
            [SUCCEEDED], Ending(1, 0.0, "qemu: no"), "QEMU ended with status 1: qemu: no", id="success, but a bad end"
        ),
        pytest.param(
            [SUCCEEDED],
            Ending(None, 0.0, ""),
            "the helper machine fell silent and had to be killed",
            id="success, and no end",
        ),
        pytest.param([STARTED], Ending(137, 0.0, ""), "AddSwap: the helper machine was killed", id="killed"),
        pytest.param(
            [STARTED],
            Ending(152, 0.0, ""),
            "AddSwap: the helper machine has used up its time of the processor",
            id="processor",
        ),
        pytest.param([], Ending(None, 60.0, ""), "the helper machine said nothing within 60 s", id="late and silent"),
        pytest.param(
            [STARTED],
            Ending(None, 60.0, ""),
            "AddSwap: the helper machine was not done after 60 s",
            id="late in a task",
        ),
        pytest.param(
            [SUCCEEDED], Ending(None, 60.0, ""), "the helper machine was not done after 60 s", id="late after success"
        ),
    ],
)
def test_everything_else_is_an_error_with_task_and_reason(lines: list[Line], ending: Ending, sentence: str) -> None:
    with pytest.raises(CloudError) as caught:
        check(story(*lines), ending)
    assert str(caught.value) == sentence


def heard(*pieces: bytes) -> tuple[list[Line], list[str]]:
    """The lines and the warnings that come of *pieces*."""
    lines: list[Line] = []
    warnings: list[str] = []
    port = Port(lines.append, warnings.append)
    for piece in pieces:
        port.feed(piece)
    return lines, warnings


def test_lines_come_whole_however_they_are_cut() -> None:
    raw = STARTED.encode() + DONE.encode()
    assert heard(*(raw[at : at + 1] for at in range(len(raw)))) == ([STARTED, DONE], [])


def test_what_is_no_line_is_passed_over_and_told_of_once() -> None:
    warning = "the helper machine says what is no line of ours: that is passed over"
    junk = [b"\xff\xfe\n", b"[]\n", b"x" * 10_000, b"y" * 10_000, b"\n"]
    assert heard(STARTED.encode(), *junk, DONE.encode()) == ([STARTED, DONE], [warning])


def test_after_too_many_lines_nothing_more_is_listened_to() -> None:
    lines, warnings = heard(Line(WARNING, "", "x").encode() * (LINES + 50), SUCCEEDED.encode())
    assert (len(lines), len(warnings)) == (LINES, 1)
    assert SUCCEEDED not in lines


def console(*pieces: bytes) -> list[str]:
    texts: list[str] = []
    taken = Console(texts.append)
    for piece in pieces:
        taken.feed(piece)
    taken.end()
    return texts


def test_the_console_is_made_printable_and_its_last_line_needs_no_end() -> None:
    assert console(b"\x1b[31mred\x07\r\n\n", b"\xff", b"last") == ["[31mred", "\N{REPLACEMENT CHARACTER}last"]


def test_the_console_is_cut_with_one_remark() -> None:
    texts = console(*([b"0123456789\n" * 1000] * 200))
    assert texts[-1] == "the helper machine's console is full: what it says from now on is dropped"
    assert texts.count(texts[-1]) == 1
    assert sum(len(text) + 1 for text in texts[:-1]) <= CONSOLE_BYTES + 1


def test_a_line_of_the_console_without_end_is_dropped() -> None:
    assert console(b"x" * 100_000, b"x\n", b"z" * TEXT + b"\n") == ["(a line that is too long)", "z" * TEXT]
