# SPDX-License-Identifier: BSD-2-Clause
"""Section ``[rules]`` of nfdhcpd.toml."""

from __future__ import annotations

import re
from typing import NamedTuple

from ganeti_cloud import config

_PATTERN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}\*?")
_LONGEST = 15  # IFNAMSIZ - 1


class RulesSettings(NamedTuple):
    """Which interfaces are taps of guests."""

    taps: tuple[str, ...]
    """Names; one with ``*`` at its end stands for all that begin so."""
    routed: bool
    """There are taps that are in no bridge."""
    bridged: bool
    """There are taps that are in a bridge."""

    @classmethod
    def of(cls, values: config.Values) -> RulesSettings:
        """The settings that *values* are."""
        links = values["rules", "links"]
        return cls(tuple(values["rules", "taps"].split()), links != "bridged", links != "routed")


def _taps(raw: object) -> str:
    if not isinstance(raw, str) or not raw.split() or not all(_is_pattern(word) for word in raw.split()):
        raise ValueError("names of interfaces with spaces between them, each with a * at its end or none")
    return " ".join(dict.fromkeys(raw.split()))


def _is_pattern(word: str) -> bool:
    return bool(_PATTERN.fullmatch(word)) and len(word.rstrip("*")) <= _LONGEST


OPTIONS = (
    config.Option(
        "rules",
        "taps",
        "tap*",
        _taps,
        "Names of the guests' taps, with spaces between them; a * at the end stands for any rest.",
    ),
    config.Option(
        "rules",
        "links",
        "both",
        config.choice("both", "routed", "bridged"),
        "Where taps are: routed (in no bridge), bridged, or both.",
    ),
)
