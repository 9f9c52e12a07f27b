# SPDX-License-Identifier: BSD-2-Clause
"""What the value of a property means: the same on the node and in the helper."""

from __future__ import annotations

from collections.abc import Mapping

_YES = frozenset({"yes", "true", "on", "1", "set"})
_NO = frozenset({"no", "false", "off", "0", "unset", ""})


def truth(properties: Mapping[str, str], key: str) -> bool:
    """Whether the property *key* is set to yes. One that is not there is not; raises ValueError for other words."""
    word = properties.get(key, "").strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(f"{key}={properties[key]!r}: write yes or no")
