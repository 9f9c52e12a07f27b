# SPDX-License-Identifier: BSD-2-Clause
"""The marks beside a volume that is moving: one in the old place, which decides, and one in the new place.

As long as they are there, Ganeti's ``open`` of the volume is refused, so that nobody starts on the wrong one of the
two, takes the instance to another node, or grows the disk meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

from archipelago.migrating import place
from archipelago.migrating.steps import Phase
from archipelago.store import Store
from ganeti_cloud.errors import StorageError


class Mark(NamedTuple):
    """What is known of a move. *token* tells it from others, *host* is where it was begun, and *old* and *new* are the
    parameters of the disk with the place in them."""

    side: Literal["old", "new"]
    phase: Phase
    token: str
    host: str
    old: Mapping[str, str]
    new: Mapping[str, str]

    def encode(self) -> str:
        """As text, one line."""
        return json.dumps(self._asdict(), sort_keys=True)


def decode(text: str, volume: str) -> Mark:
    """The reverse of :meth:`Mark.encode`. Raises StorageError."""
    try:
        found = json.loads(text)
        return Mark(**{**found, "phase": Phase(found["phase"])})
    except (ValueError, TypeError, KeyError) as err:
        raise StorageError(
            f"the mark that volume {volume} is being moved is damaged: {text[:80]!r}",
            hint="a newer version may have written it; run the same version on all nodes",
        ) from err


def of(store: Store, volume: str) -> Mark | None:
    """The mark of *volume* in *store*; None when it is not moving."""
    text = store.moving(volume)
    return decode(text, volume) if text else None


def refuse_moving(store: Store, volume: str) -> None:
    """Raise StorageError when *volume* must not be used in *store*, because it is moving from or to it."""
    mark = of(store, volume)
    if mark is None or (mark.side == "new" and mark.phase is Phase.MOVED):
        return
    raise StorageError(
        f"volume {volume} is being moved from {place.shown(mark.old, volume)} to {place.shown(mark.new, volume)}",
        hint=f"`archipelago volume migrate {volume}` on the node of its instance (begun on {mark.host}) finishes it, "
        "and with --abort undoes it",
    )


def other_side(store: Store, volume: str) -> Mapping[str, str] | None:
    """The parameters of the other place that has to be cleared when *volume* is removed from *store*; None when there
    is none, or when that is the one that decides."""
    mark = of(store, volume)
    if mark is None:
        return None
    if mark.side == "old":
        return mark.new
    return mark.old if mark.phase is Phase.MOVED else None
