# SPDX-License-Identifier: BSD-2-Clause
"""The list of search domains (RFC 3397): names as DNS has them on the wire, shortened by pointers."""

from __future__ import annotations

from collections.abc import Iterable

_LONGEST_LABEL = 63
_LONGEST_NAME = 255
# A pointer has 14 bits, after two that tell it from a label (RFC 1035, 4.1.4).
_POINTER = 0xC000


def search_list(names: Iterable[str]) -> bytes:
    """The value of the option. A name that DNS cannot have is left out."""
    made = bytearray()
    known: dict[tuple[bytes, ...], int] = {}
    for name in names:
        labels = _labels(name)
        if labels:
            _append(made, known, labels)
    return bytes(made)


def _labels(name: str) -> tuple[bytes, ...]:
    """The labels of *name*; none for what is no name."""
    if not name.isascii():
        return ()
    labels = tuple(name.removesuffix(".").encode("ascii").split(b"."))
    too_long = sum(1 + len(label) for label in labels) + 1 > _LONGEST_NAME
    return () if too_long or not all(0 < len(label) <= _LONGEST_LABEL for label in labels) else labels


def _append(made: bytearray, known: dict[tuple[bytes, ...], int], labels: tuple[bytes, ...]) -> None:
    for index, label in enumerate(labels):
        rest = labels[index:]
        if rest in known:
            made += (_POINTER | known[rest]).to_bytes(2, "big")
            return
        if len(made) < 0xFFFF - _POINTER:
            known[rest] = len(made)
        made += bytes((len(label),)) + label
    made.append(0)
