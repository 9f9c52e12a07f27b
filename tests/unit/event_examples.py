# SPDX-License-Identifier: BSD-2-Clause
"""Events of each type: with all that they may carry, and with all sorts of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from ganeti_cloud.messages import KINDS, Event
from ganeti_cloud.shapes import MOST_WHOLE, ListOf, OneOf, Shape

_VALUES: Mapping[type, tuple[Any, ...]] = {
    str: ("", "web1.example.com", 'a "quoted"\n\\ text', "λ 😀", "\x00\x1f\x7f", "x" * 300),
    int: (0, 1, -1, 65536, MOST_WHOLE, -MOST_WHOLE),
    float: (0.0, 99.5, -1e-300, 1e300),
    bool: (True, False),
    type(None): (None,),
}


def any_value(shape: Shape, chance: random.Random) -> Any:
    """Something that has the *shape*."""
    if isinstance(shape, ListOf):
        return [any_value(shape.of, chance) for _ in range(chance.randrange(4))]
    if isinstance(shape, OneOf):
        return any_value(chance.choice(shape.shapes), chance)
    if isinstance(shape, Mapping):
        return {key: any_value(each, chance) for key, each in shape.items() if chance.random() < 0.7}
    return chance.choice(_VALUES[chance.choice(shape)])


def any_event(type_: str, chance: random.Random) -> Event:
    """An event of the *type_*, with some of the fields that it may have."""
    kind = KINDS[type_]
    time_ns = chance.randrange(0, 1 << 62) // 1000 * 1000
    subject = chance.choice(["vm1", "web-1.example.com", "ü"]) if kind.subject else ""
    return Event(f"id-{chance.random()}", type_, time_ns, "c1", "n1", subject, any_value(kind.fields, chance))


def full_value(shape: Shape) -> Any:
    """Something that has all that the *shape* has."""
    if isinstance(shape, ListOf):
        return [full_value(shape.of)]
    if isinstance(shape, OneOf):
        return full_value(shape.shapes[0])
    if isinstance(shape, Mapping):
        return {key: full_value(each) for key, each in shape.items()}
    return _VALUES[shape[0]][:2][-1]


def full_event(type_: str) -> Event:
    """An event of the *type_* with each field that it may have."""
    subject = "web-1.example.com" if KINDS[type_].subject else ""
    return Event("id-1", type_, 1_700_000_000_123_456_000, "c1", "n1", subject, full_value(KINDS[type_].fields))
