# SPDX-License-Identifier: BSD-2-Clause
"""Reading a manual page as plain text, by its headings and its tags, and the errors that have to be in one."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "man"

ERRORS = frozenset({"CloudError", "ConfigError", "RequestError", "CommandError", "StorageError", "GanetiError"})
# Sentences made of nothing but what another program or the kernel said.
_WORDLESS = 4

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


def errors(sources: Iterable[Path], calls: Collection[str] = ERRORS) -> Iterator[tuple[str, str]]:
    """Where *sources* call one of *calls* with a sentence, and a pattern of it: what is put in is left open."""
    for path in sorted(sources):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in calls:
                continue
            words = _words(node.args[0]) if node.args else []
            if sum(character.isalpha() for word in words for character in word) > _WORDLESS:
                yield f"{path.relative_to(ROOT)}:{node.lineno}", ".+".join(re.escape(word) for word in words)


def _words(message: ast.expr) -> list[str]:
    """The constant parts of *message*, with an empty one wherever something is put in."""
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return [message.value]
    if not isinstance(message, ast.JoinedStr):
        return []
    words = [""]
    for part in message.values:
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            words[-1] += part.value
        else:
            words.append("")
    return words


def _joined(arguments: str, between: str) -> str:
    """The *arguments* of a macro as roff sets them: those in quotes are one each."""
    found = re.findall(r'"([^"]*)"|((?:\\.|[^\s"])+)', arguments)
    return plain(between.join(quoted or bare for quoted, bare in found))
