# SPDX-License-Identifier: BSD-2-Clause
"""Packets that are almost right: the same ones for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

from nfdhcpd.packets.outcome import Answer, Outcome


class Target(NamedTuple):
    """One decoder, and what its packets look like."""

    seeds: Sequence[bytes]
    """Right messages of each kind."""
    fixed: int
    """How many bytes every message begins with; most mutations are in what follows."""
    wrap: Callable[[bytes], bytes]
    """Makes the packet that brings a message, with right lengths and checksums."""
    check: Callable[[bytes], str]
    """Shows a packet to the decoder and says what became of it. Raises for what must never happen."""


def consistent(answer: Answer, outcomes: Collection[Outcome]) -> Answer:
    """*answer*, which is one of the *outcomes*, with a frame if and only if that says so."""
    outcome, frame = answer
    assert outcome in outcomes
    assert outcome.answered == (frame is not None)
    return answer


_EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)
_LONGEST = 1500


def packets(target: Target, rng: random.Random, number: int) -> Iterator[bytes]:
    """*number* packets. Most have only a message that is wrong, so that they come past lengths and checksums."""
    for _ in range(number):
        packet = target.wrap(_mutated(target.seeds, target.fixed, rng))
        yield _mutated((packet,), 0, rng) if rng.random() < 0.1 else packet


def _mutated(seeds: Sequence[bytes], fixed: int, rng: random.Random) -> bytes:
    message = bytearray(rng.choice(seeds))
    for _ in range(1 + rng.getrandbits(2)):
        first = fixed if fixed < len(message) and rng.random() < 0.9 else 0
        if message:
            start = first + int(rng.random() * (len(message) - first))
            _MUTATIONS[int(rng.random() * len(_MUTATIONS))](message, start, rng)
    if rng.random() < 0.1:
        start = int(rng.random() * len(message))
        message[start:] = rng.choice(seeds)[start:]
    return bytes(message[:_LONGEST])


def _flip(message: bytearray, start: int, rng: random.Random) -> None:
    message[start] ^= 1 << rng.getrandbits(3)


def _edge(message: bytearray, start: int, rng: random.Random) -> None:
    message[start] = _EDGES[int(rng.random() * len(_EDGES))]


def _cut(message: bytearray, start: int, rng: random.Random) -> None:
    del message[start:]


def _remove(message: bytearray, start: int, rng: random.Random) -> None:
    del message[start : start + 1 + rng.getrandbits(4)]


def _insert(message: bytearray, start: int, rng: random.Random) -> None:
    message[start:start] = rng.randbytes(1 + rng.getrandbits(4))


def _repeat(message: bytearray, start: int, rng: random.Random) -> None:
    message[start:start] = message[start : start + 1 + rng.getrandbits(6)] * (1 + rng.getrandbits(2))


def _extend(message: bytearray, start: int, rng: random.Random) -> None:
    message += rng.randbytes(rng.getrandbits(8))


_MUTATIONS = (_flip, _flip, _edge, _edge, _cut, _remove, _insert, _repeat, _extend)
