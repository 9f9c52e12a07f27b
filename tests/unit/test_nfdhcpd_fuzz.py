# SPDX-License-Identifier: BSD-2-Clause
"""The program that shows wrong packets to decoders: it shows the same ones again, and does not keep harm to itself."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fuzz import decoders
from tests.fuzz.mutating import Target, packets

SEEDS = (bytes(range(64)), b"\xff" * 32)


def harmful(packet: bytes) -> str:
    assert b"\xff\xff" not in packet, "two of them"
    return "fine"


def target(seeds: tuple[bytes, ...] = SEEDS) -> Target:
    return Target(seeds, 16, lambda message: b"head" + message, harmful)


def test_the_same_seed_makes_the_same_packets() -> None:
    first, again, other = (list(packets(target(), random.Random(seed), 200)) for seed in (1, 1, 2))
    assert first == again != other
    assert len(set(first)) > 150
    assert sum(packet.startswith(b"head") for packet in first) > 150


def test_most_packets_keep_the_fixed_part_of_their_message() -> None:
    starts = [packet[4:20] for packet in packets(target(), random.Random(1), 200)]
    assert 60 < sum(start in {seed[:16] for seed in SEEDS} for start in starts) < 190


def test_harm_is_told_with_its_packet() -> None:
    with pytest.raises(AssertionError, match="two of them") as caught:
        decoders.shown(target(), seed=1, number=100)
    assert caught.value.__notes__[0].startswith("the packet: ")
    assert b"\xff\xff" in bytes.fromhex(caught.value.__notes__[0].removeprefix("the packet: "))


def test_what_became_of_packets_is_counted() -> None:
    assert decoders.shown(target(seeds=(b"abc",))._replace(check=lambda packet: "fine"), 1, 50) == {"fine": 50}


def test_the_program_says_what_became_of_them() -> None:
    done = CliRunner().invoke(decoders.main, ["--only", "dhcp4", "--seed", "3", "300"])
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert lines[0].startswith("dhcp4: 300 packets, ")
    assert sum(int(line.rpartition(": ")[2]) for line in lines[1:]) == 300


@pytest.mark.host_tools
def test_atheris_runs_each_decoder_by_itself(tmp_path: Path) -> None:
    done = CliRunner().invoke(decoders.main, ["--atheris", str(tmp_path / "found"), "5"])
    assert done.exit_code == 0, done.output
    assert {path.name for path in (tmp_path / "found").iterdir()} == set(decoders.TARGETS)


@pytest.mark.host_tools
def test_atheris_says_when_a_decoder_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "TARGETS", {"nothing": "tests.fuzz.nothing"})
    done = CliRunner().invoke(decoders.main, ["--atheris", str(tmp_path), "5"])
    assert (done.exit_code, done.output) == (1, "Error: nothing: see above for the packet that did harm\n")


@pytest.mark.parametrize("name", decoders.TARGETS)
def test_what_atheris_found_does_no_harm(name: str) -> None:
    target = decoders.target(name)
    outcomes = {target.check(decoders.packet(target, data)) for data in decoders.found(name)}
    # Nothing chosen by chance gets everywhere; what only a seed makes a decoder do is among them, too.
    assert outcomes >= {target.check(decoders.packet(target, data)) for data in decoders.begun_with(target)}


def test_atheris_may_not_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "atheris", None)
    done = CliRunner().invoke(decoders.main, ["--only", "dhcp4", "--atheris", str(tmp_path), "10"])
    assert (done.exit_code, done.output) == (*(1, "Error: atheris is not installed here; make setup installs it\n"),)
