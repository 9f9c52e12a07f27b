# SPDX-License-Identifier: BSD-2-Clause
"""Reading a manual page as plain text, by its headings and its tags (the entries of lists)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[2] / "docs" / "man"

_GLYPHS = {r"\-": "-", r"\(aq": "'", r"\(dq": '"', r"\e": "\\", r"\ ": " ", r"\&": "", r"\%": ""}
_FONT_MACROS = frozenset({"B", "I", "BR", "RB", "IR", "RI", "BI", "IB"})


class Section(NamedTuple):
    """What stands below one heading: the tags, and all lines, without any mark-up."""

    tags: list[str]
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def read(page: str) -> dict[str, Section]:
    """The sections and subsections of the manual page *page*, by heading."""
    sections: dict[str, Section] = {}
    section = Section([], [])
    tag_follows = False
    for line in (FOLDER / page).read_text(encoding="utf-8").splitlines():
        macro, _, rest = line[1:].partition(" ") if line.startswith(".") else ("", "", line)
        if macro in {"SH", "SS"}:
            section = sections.setdefault(_joined(rest, " "), Section([], []))
            continue
        text = _joined(rest, "" if len(macro) == 2 else " ") if macro in _FONT_MACROS else plain(rest)
        if macro in {"TP", "TQ"}:
            tag_follows = True
        elif macro in _FONT_MACROS or not macro:
            section.lines.append(text)
            if tag_follows:
                section.tags.append(text)
            tag_follows = False
    return sections


def plain(text: str) -> str:
    """*text* without escapes and fonts."""
    text = re.sub(r"\\f[BIRP]", "", text)
    for escape, glyph in _GLYPHS.items():
        text = text.replace(escape, glyph)
    return text


def _joined(arguments: str, between: str) -> str:
    """The *arguments* of a macro as roff sets them: those in quotes are one each."""
    found = re.findall(r'"([^"]*)"|((?:\\.|[^\s"])+)', arguments)
    return plain(between.join(quoted or bare for quoted, bare in found))
