# SPDX-License-Identifier: BSD-2-Clause
"""The examples of docs/networks.md: files by the heading below which they stand, and the commands of Ganeti."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

_TEXT = (Path(__file__).parents[2] / "docs" / "networks.md").read_text(encoding="utf-8")
_FILE = re.compile(r"`(/etc/[^`]+)`[^`]*:\n\n```[a-z]*\n(.*?)```\n", re.DOTALL)


def part(heading: str, tool: str = "") -> str:
    """What stands below *heading*, and there below *tool*, up to the next heading of its rank."""
    text = _below(_TEXT, f"## {heading}")
    return _below(text, f"### {tool}") if tool else text.partition("\n### ")[0]


def _below(text: str, heading: str) -> str:
    [_, text] = f"\n{text}".split(f"\n{heading}\n")
    rank = heading.partition(" ")[0]
    return re.split(rf"\n#{{1,{len(rank)}}} ", text)[0]


def files(heading: str, tool: str = "") -> dict[str, str]:
    """By path: the files of that part."""
    text = part(heading, tool)
    found = dict(_FILE.findall(text))
    assert len(found) == text.count("\n```\n"), (heading, tool)
    return found


def everywhere() -> dict[str, str]:
    """By path: the files that stand above all headings."""
    return dict(_FILE.findall(_TEXT.partition("\n## ")[0]))


def commands(heading: str) -> list[list[str]]:
    """The commands of that part, taken apart as a shell does."""
    text = part(heading).replace("\\\n", "")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("    ") and "gnt-" in line]
