# SPDX-License-Identifier: BSD-2-Clause
"""How a run ended, out of what was heard and of QEMU's own end. Silence is failure."""

from __future__ import annotations

import signal
from typing import NamedTuple

from ganeti_cloud.errors import CloudError
from snf_image_helper.lines import END, ERROR, START, SUCCESS, Line

_CONSOLE = "the helper machine's console is in the log above"
# bwrap tells the signal that ended its child as 128 and the number; a negative one ended bwrap itself.
_TOO_MUCH_PROCESSOR = frozenset({128 + signal.SIGXCPU, -signal.SIGXCPU})
_KILLED = frozenset({128 + signal.SIGKILL, -signal.SIGKILL})


class Story:
    """What the helper told in one run."""

    def __init__(self) -> None:
        self.task = ""
        self.spoke = False
        self.error: Line | None = None
        self.success = False

    def note(self, line: Line) -> None:
        """Go on with *line*. A success that is followed by anything was none, and so is one after an error."""
        self.spoke = True
        self.success = line.kind == SUCCESS and self.error is None
        if line.kind == START:
            self.task = line.task
        elif line.kind == END:
            self.task = ""
        elif line.kind == ERROR and self.error is None:
            self.error = line


class Ending(NamedTuple):
    """QEMU's exit *status* as bwrap tells it, None when it had to be killed; *limit_s* is 0 unless the time was up."""

    status: int | None
    limit_s: float
    last_words: str


def check(story: Story, ending: Ending) -> None:
    """Return if the run was a success. Raises CloudError with the task and the reason."""
    if story.error is not None:
        raise CloudError(_within(story.error.task or story.task, story.error.text or "it gave no reason"))
    if ending.limit_s:
        raise _late(story, ending)
    if ending.status != 0:
        raise _died(story, ending)
    if not story.spoke:
        said = f"; its last words: {ending.last_words}" if ending.last_words else ""
        raise CloudError(f"the helper machine said nothing before it ended{said}", hint=_CONSOLE)
    if not story.success:
        raise CloudError(_within(story.task, "the helper machine ended before all was done"), hint=_CONSOLE)


def _within(task: str, text: str) -> str:
    return f"{task}: {text}" if task else text


def _late(story: Story, ending: Ending) -> CloudError:
    if not story.spoke:
        return CloudError(f"the helper machine said nothing within {ending.limit_s:g} s", hint=_CONSOLE)
    hint = "the setting is [machine] soft_limit_s; a task on a large or damaged file system takes long"
    return CloudError(_within(story.task, f"the helper machine was not done after {ending.limit_s:g} s"), hint=hint)


def _died(story: Story, ending: Ending) -> CloudError:
    if ending.status in _TOO_MUCH_PROCESSOR:
        text = "the helper machine has used up its time of the processor"
        return CloudError(_within(story.task, text), hint="the setting is [machine] cpu_limit_s")
    if ending.status in _KILLED:
        hint = "the kernel's log tells whether memory ran out; the settings are [machine] memory_mib and cpu_limit_s"
        return CloudError(_within(story.task, "the helper machine was killed"), hint=hint)
    if ending.status is None:
        return CloudError(_within(story.task, "the helper machine fell silent and had to be killed"), hint=_CONSOLE)
    said = f": {ending.last_words}" if ending.last_words else ""
    return CloudError(_within(story.task, f"QEMU ended with status {ending.status}{said}"), hint=_CONSOLE)
