# SPDX-License-Identifier: BSD-2-Clause
"""Shapes of JSON values, which list what may be in one: whatever is not listed does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

# Of characters. Results and lines of logs have whatever length programs give them.
MOST_TEXT = 4096
CUT = " [cut]"
# What JSON readers keep as it is (RFC 8259, 6, has no limit; languages have this one).
MOST_WHOLE = (1 << 63) - 1


class ListOf(NamedTuple):
    """A list, each of whose members has the shape *of*."""

    of: Any


class OneOf(NamedTuple):
    """What has one of *shapes*."""

    shapes: tuple[Any, ...]


# A shape is a tuple of types, a mapping from each key that may be there to its shape, a ListOf, or a OneOf.
Shape = Any


def fits(value: object, shape: Shape) -> bool:
    """Whether *value* has the *shape*, and carries nothing else."""
    if isinstance(shape, ListOf):
        return isinstance(value, list | tuple) and all(fits(each, shape.of) for each in value)
    if isinstance(shape, OneOf):
        return any(fits(value, each) for each in shape.shapes)
    if isinstance(shape, Mapping):
        return isinstance(value, Mapping) and all(
            key in shape and fits(each, shape[key]) for key, each in value.items()
        )
    if isinstance(value, bool) and bool not in shape:
        return False  # which Python takes for a number
    return isinstance(value, shape) and _is_json(value)


def allowed(value: object, shape: Shape) -> Any:
    """*value* without what *shape* does not have: unknown keys, and members of the wrong kind; None for all of it."""
    if fits(value, shape):
        return value
    if isinstance(shape, OneOf):
        tries = (allowed(value, each) for each in shape.shapes)
        return max((kept for kept in tries if kept is not None), key=_size, default=None)
    if isinstance(shape, ListOf) and isinstance(value, list | tuple):
        return [kept for each in value for kept in _kept(each, shape.of)]
    if isinstance(shape, Mapping) and isinstance(value, Mapping):
        return {key: kept for key in shape if key in value for kept in _kept(value[key], shape[key])}
    return None


def _kept(value: object, shape: Shape) -> list[Any]:
    """What is allowed of *value*, if anything is: that it is not of the right kind does not make it null."""
    kept = allowed(value, shape)
    return [] if kept is None and not fits(value, shape) else [kept]


def bounded(value: Any) -> Any:
    """*value* with each text in it cut where it is longer than others want to read, and fit for UTF-8."""
    if isinstance(value, str):
        if len(value) > MOST_TEXT:
            value = value[: MOST_TEXT - len(CUT)] + CUT
        # Bytes of the environment that are no UTF-8 are lone surrogates in Python, and nothing in other languages.
        return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list | tuple):
        return [bounded(each) for each in value]
    if isinstance(value, Mapping):
        return {key: bounded(each) for key, each in value.items()}
    return value


def _is_json(value: object) -> bool:
    """Whether JSON has the single value *value*, in all languages."""
    if isinstance(value, float):
        return abs(value) < float("inf")  # which a NaN is not
    return not isinstance(value, int) or -MOST_WHOLE <= value <= MOST_WHOLE


def _size(value: object) -> int:
    return len(json.dumps(value))
