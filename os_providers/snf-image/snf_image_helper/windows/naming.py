# SPDX-License-Identifier: BSD-2-Clause
"""The name of a Windows machine: the NetBIOS one, which is shorter and poorer than a host name."""

from __future__ import annotations

import re

from snf_image_helper.task import TaskError, Work
from snf_image_helper.windows import installed
from snf_image_helper.windows.answer_file import SHELL, SPECIALIZE

LONGEST = 15


def computer_name(hostname: str) -> str:
    """What Windows can be called that is to be *hostname*. Raises TaskError when nothing of it can be used."""
    label = hostname.partition(".")[0]
    name = re.sub(r"[^A-Za-z0-9-]", "-", label)[:LONGEST].strip("-")
    if not name:
        raise TaskError(f"no computer name can be made of the host name {hostname!r}: use letters and digits")
    # A name of digits alone is refused: it would be taken for an address.
    return f"vm-{name}"[:LONGEST] if name.isdigit() else name


def assign(work: Work) -> None:
    """Have Windows call itself as the instance is called."""
    name = computer_name(work.job.hostname)
    if name != work.job.hostname.partition(".")[0]:
        work.warn(f"the computer name is {name}: Windows takes at most {LONGEST} letters, digits and '-'")
    path, answers = installed.load(work)
    answers.set(SPECIALIZE, SHELL, "ComputerName", name)
    installed.save(work, path, answers)
