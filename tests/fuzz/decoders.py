# SPDX-License-Identifier: BSD-2-Clause
"""Shows wrong packets to the decoders of nfdhcpd: ``python -m tests.fuzz.decoders 10000000``.

With ``--atheris FOLDER`` that program chooses the packets by what they make a decoder do, and keeps those that did
something new in the folder, one below it for each decoder. It begins with those in ``corpus/``, which it has found
before.
"""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from tests.fuzz.mutating import Target, packets

# The modules that have a TARGET. They are imported only when they are needed, as atheris has to see it happen.
TARGETS = {name: f"tests.fuzz.{name}" for name in ("binding", "dhcp4", "dhcp6", "ns", "rs")}

CORPUS = Path(__file__).parent / "corpus"

_PART = 100_000


def target(name: str) -> Target:
    """The target that is called *name*."""
    found = importlib.import_module(TARGETS[name]).TARGET
    assert isinstance(found, Target)
    return found


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


@click.command()
@click.option("--seed", type=int, default=0, help="Begin with other packets.")
@click.option("--only", type=click.Choice(sorted(TARGETS)), help="Leave the other decoders alone.")
@click.option(
    "--atheris",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Let atheris choose the packets, beginning with those in this folder.",
)
@click.argument("number", type=click.IntRange(1))
def main(seed: int, only: str | None, folder: Path | None, number: int) -> None:
    """Show NUMBER packets to each decoder, and print what became of them."""
    if folder is not None and only is not None:
        _by_atheris(only, folder, number)
        return
    for name in [only] if only else TARGETS:
        if folder is None:
            _by_seed(name, seed, number)
        else:
            # It ends the process that it runs in.
            words = [sys.executable, "-m", __spec__.name, "--only", name, "--atheris", str(folder), str(number)]
            if subprocess.run(words, check=False).returncode != 0:
                raise click.ClickException(f"{name}: see above for the packet that did harm")


def _by_seed(name: str, seed: int, number: int) -> None:
    begun = time.monotonic()
    counts: Counter[str] = Counter()
    for part, size in enumerate(_parts(number)):
        counts += shown(target(name), seed + part, size)
    rate = number / (time.monotonic() - begun)
    click.echo(f"{name}: {number} packets, {rate:.0f} a second, none of them did harm")
    for outcome, times in counts.most_common():
        click.echo(f"  {outcome}: {times}")


def _parts(number: int) -> Iterator[int]:
    yield from (_PART for _ in range(number // _PART))
    if number % _PART:
        yield number % _PART


def _by_atheris(name: str, folder: Path, number: int) -> None:
    try:
        atheris = importlib.import_module("atheris")
    except ModuleNotFoundError as err:
        raise click.ClickException("atheris is not installed here; make setup installs it") from err
    with atheris.instrument_imports(include=["ganeti_cloud", "nfdhcpd"]):
        chosen = target(name)

    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for index, data in enumerate((*begun_with(chosen), *found(name))):
        (place / f"known-{index}").write_bytes(data)
    atheris.Setup(
        [sys.argv[0], f"-runs={number}", "-max_len=1501", f"-artifact_prefix={place}/", str(place)],
        lambda data: chosen.check(packet(chosen, data)),
    )
    atheris.Fuzz()


def packet(target: Target, data: bytes) -> bytes:
    """What atheris means by *data*: the first byte says whether the rest is a packet, or only a message."""
    return data[1:] if data[:1] == b"\0" else target.wrap(data[1:])


def begun_with(target: Target) -> Iterator[bytes]:
    """The seeds of *target*, for atheris."""
    for seed in target.seeds:
        yield b"\1" + seed
        yield b"\0" + target.wrap(seed)


def found(name: str) -> list[bytes]:
    """What atheris has found for a decoder up to now: of all that makes it do something else, one of each."""
    return [bytes.fromhex(line) for line in (CORPUS / f"{name}.txt").read_text(encoding="ascii").split()]


if __name__ == "__main__":
    main()
