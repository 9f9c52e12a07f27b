# SPDX-License-Identifier: BSD-2-Clause
"""Shows wrong packets to the decoders of nfdhcpd: ``python -m tests.fuzz.decoders 10000000``.

With ``--atheris`` that program, where it is installed, looks for the packets by what they make the decoders do.
"""

from __future__ import annotations

import importlib
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator

import click

from tests.fuzz import dhcp4
from tests.fuzz.mutating import Target, packets

TARGETS = {"dhcp4": dhcp4.TARGET}

_PART = 100_000


def shown(target: Target, seed: int, number: int) -> Counter[str]:
    """How often what became of *number* packets. The first that must not happen is raised, with its packet."""
    counts: Counter[str] = Counter()
    for packet in packets(target, random.Random(seed), number):
        try:
            counts[target.check(packet)] += 1
        except Exception as err:
            err.add_note(f"the packet: {packet.hex()}")
            raise
    return counts


def _parts(number: int) -> Iterator[int]:
    yield from (_PART for _ in range(number // _PART))
    if number % _PART:
        yield number % _PART


@click.command()
@click.option("--seed", type=int, default=0, help="Begin with another packet.")
@click.option("--only", type=click.Choice(sorted(TARGETS)), help="Leave the other decoders alone.")
@click.option("--atheris", is_flag=True, help="Let atheris choose the packets; NUMBER is for each run of it.")
@click.argument("number", type=click.IntRange(1))
def main(seed: int, only: str | None, atheris: bool, number: int) -> None:
    """Show NUMBER packets to each decoder, and print what became of them."""
    chosen = {name: target for name, target in TARGETS.items() if only in {None, name}}
    for name, target in chosen.items():
        if atheris:
            _by_atheris(target, number)
        else:
            _by_seed(name, target, seed, number)


def _by_seed(name: str, target: Target, seed: int, number: int) -> None:
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    for part, size in enumerate(_parts(number)):
        counts += shown(target, seed + part, size)
    rate = number / (time.monotonic() - begun)
    click.echo(f"{name}: {number} packets, {rate:.0f} a second, none of them did harm")
    for outcome, times in counts.most_common():
        click.echo(f"  {outcome}: {times}")


def _by_atheris(target: Target, number: int) -> None:
    atheris = importlib.import_module("atheris")

    def show(data: bytes) -> None:
        target.check(target.wrap(data[1:]) if data[:1] > b"\x10" else data[1:])

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-runs={number}", "-max_len=1500"], show)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
