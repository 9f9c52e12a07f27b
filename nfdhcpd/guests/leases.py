# SPDX-License-Identifier: BSD-2-Clause
"""What is known of each guest: for people, for other programs, and for the daemon's next start."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ganeti_cloud.errors import CloudError
from ganeti_cloud.files import replace_file
from nfdhcpd.guests import guest6
from nfdhcpd.guests.taps import Tap
from nfdhcpd.packets.outcome import Outcome

FILE = "leases.json"

# Taps that are put into words in one go: about half a millisecond, in which no packet is answered.
_PIECE = 32

_COLUMNS = ("TAP", "MAC", "ADDRESS", "HOSTNAME", "LAST")


def described(tap: Tap, boot: float) -> dict[str, Any]:
    """What is known of *tap*; *boot* is the time of day at which the monotonic clock was 0."""
    binding = tap.binding
    return {
        "tap": tap.name,
        "mac": tap.mac.hex(":"),
        "hostname": binding.hostname,
        "ip": _text(binding.ip),
        "ip6": _text(guest6.address(binding)),
        "subnet6": _text(binding.subnet6),
        "seen": {f"{outcome.protocol} {outcome.name}": round(boot + at, 3) for outcome, at in tap.seen.items()},
    }


def pieces(taps: Sequence[Tap], boot: float) -> Iterator[str]:
    """All *taps* as JSON, some at a time, a line each."""
    remaining = iter(taps)
    between = "["
    while some := list(islice(remaining, _PIECE)):
        yield between + ",".join("\n" + json.dumps(described(tap, boot)) for tap in some)
        between = ","
    yield "[]\n" if between == "[" else "\n]\n"


def boot_time() -> float:
    """The time of day at which the monotonic clock was 0."""
    return time.time() - time.monotonic()


class Keeper:
    """Keeps what has been seen in the folder *state*, and gives it back to taps after a restart."""

    def __init__(self, state: str, outcomes: Iterable[Outcome]) -> None:
        self._path = Path(state, FILE)
        self._outcomes = {f"{outcome.protocol} {outcome.name}": outcome for outcome in outcomes}
        self._before: dict[str, Mapping[str, Any]] = {}
        self._writing: Iterator[str] | None = None
        self._written: list[str] = []

    def load(self) -> None:
        """Read what was kept. Raises CloudError when it cannot be used; it is not needed for anything but people."""
        try:
            rows = json.loads(self._path.read_text(encoding="utf-8"))
            self._before = {row["tap"]: row for row in rows}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as err:
            raise CloudError(f"{self._path}: {err}", hint="remove it; nothing but the times in it is lost") from err

    def restore(self, tap: Tap) -> None:
        """Give *tap*, which is served from now on, what was seen of the same guest before."""
        row = self._before.pop(tap.name, None)
        if row is None:
            return
        boot = boot_time()
        now = described(tap, boot)
        if any(row.get(key) != now[key] for key in ("mac", "ip", "ip6", "subnet6")):
            return
        seen = row.get("seen")
        for name, at in seen.items() if isinstance(seen, dict) else ():
            outcome = self._outcomes.get(name)
            if outcome is not None and isinstance(at, int | float):
                tap.seen[outcome] = at - boot

    @property
    def is_writing(self) -> bool:
        """Whether :meth:`write_some` has more to do."""
        return self._writing is not None

    def begin(self, taps: Iterable[Tap]) -> None:
        """Begin to write what is known of *taps* now."""
        self._writing, self._written = pieces(list(taps), boot_time()), []

    def write_some(self) -> None:
        """Do a part of the writing; the file is replaced when all of it is there. Raises OSError."""
        if self._writing is None:
            return
        piece = next(self._writing, None)
        if piece is not None:
            self._written.append(piece)
            return
        text, self._writing, self._written = "".join(self._written), None, []
        replace_file(self._path, text)

    def write_all(self, taps: Iterable[Tap]) -> None:
        """Write what is known of *taps*. Raises OSError."""
        self.begin(taps)
        while self.is_writing:
            self.write_some()


def table(rows: Sequence[Mapping[str, Any]], now: float) -> list[str]:
    """*rows* as :func:`described` makes them, for people, by name of the tap; *now* is the time of day."""
    cells = [_COLUMNS, *(_cells(row, now) for row in sorted(rows, key=lambda row: _natural(row["tap"])))]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_COLUMNS) - 1)]
    return [
        " ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]) for line in cells
    ]


def _cells(row: Mapping[str, Any], now: float) -> tuple[str, ...]:
    address = row["ip"] or row["ip6"] or row["subnet6"] or "-"
    seen = row["seen"]
    last = max(seen, key=seen.__getitem__, default=None)
    told = "-" if last is None else f"{last.replace('_', ' ')} {_ago(now - seen[last])}"
    return row["tap"], row["mac"], address, row["hostname"], told


def _ago(seconds: float) -> str:
    whole = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size:
            return f"{whole // size} {unit} ago"
    return f"{whole} s ago"


def _natural(name: str) -> tuple[str, int]:
    """What sorts tap2 before tap10."""
    stem = name.rstrip("0123456789")
    return stem, int(name[len(stem) :] or -1)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
