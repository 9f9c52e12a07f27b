# SPDX-License-Identifier: BSD-2-Clause
"""What may travel of jobs recorded on a real cluster, with canaries in all that is secret, and of any values."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from ganeti_cloud.fields import DISK, INSTANCE_INPUT, NIC, TAGS, TEXT
from ganeti_cloud.messages import KINDS, NETWORK, OPERATION
from ganeti_cloud.shapes import ListOf, OneOf, Shape, allowed, bounded, fits
from tests.unit.event_examples import any_value

SHAPES = [kind.fields for kind in KINDS.values()]
# One opcode of each kind, as luxid of Ganeti 3.1 writes it into the files of jobs.
INPUTS = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "data" / "ganeti-3.1-inputs.jsonl").read_text("utf-8").splitlines()
]
# What an input has that a control plane may see; where it stands in the list of what may travel.
INPUT_SHAPES = [KINDS[kind].fields["job_fields"] for kind in (OPERATION, NETWORK)]
SECRET = ("osparams", "osparams_private", "osparams_secret", "source_x509_ca", "source_handshake", "reason", "comment")


def with_canaries(recorded: dict[str, Any]) -> dict[str, Any]:
    """*recorded* with something secret in all that is not to be seen, and beside all that is."""

    def planted(value: Any) -> Any:
        if isinstance(value, dict):
            return {**{key: planted(each) for key, each in value.items()}, "canary_key": "canary"}
        return [planted(each) for each in value] if isinstance(value, list) else value

    return {**planted(recorded), **dict.fromkeys(SECRET, {"password": "canary"}), "password": "canary"}


def test_opcodes_of_all_sorts_were_recorded() -> None:
    assert {"OP_INSTANCE_CREATE", "OP_INSTANCE_SET_PARAMS", "OP_NETWORK_ADD"} <= {each["OP_ID"] for each in INPUTS}
    assert len(INPUTS) > 20
    assert any("osparams" in each for each in INPUTS)


@pytest.mark.parametrize("recorded", INPUTS, ids=lambda recorded: recorded["OP_ID"])
@pytest.mark.parametrize("shape", SHAPES + INPUT_SHAPES)
def test_no_canary_gets_through(recorded: dict[str, Any], shape: Shape) -> None:
    kept = allowed(with_canaries(recorded), shape)
    assert fits(kept, shape)
    assert "canary" not in json.dumps(kept)


@pytest.mark.parametrize("recorded", [each for each in INPUTS if each["OP_ID"] == "OP_INSTANCE_CREATE"])
def test_what_a_control_plane_needs_gets_through(recorded: dict[str, Any]) -> None:
    kept = allowed(recorded, INSTANCE_INPUT)
    assert kept["disks"] == [{"size": 512, "provider": "rbdlab", "origin": "parent@g1"}]
    same = ("nics", "beparams", "disk_template", "os_type", "hypervisor", "mode", "start", "dry_run")
    assert {name: kept[name] for name in same} == {name: recorded[name] for name in same}


@pytest.mark.parametrize(
    ("value", "shape", "kept"),
    [
        ("text", TEXT, "text"),
        (1, TEXT, None),
        (["a", 1, None, "b"], TAGS, ["a", "b"]),
        ({"a": 1}, TAGS, None),
        ("text", TAGS, None),
        ([], NIC, None),
        ({"mac": "m", "secret": "s", "ip": 4}, NIC, {"mac": "m"}),
        ([{"mac": "m"}, "x", {"secret": 1}], ListOf(NIC), [{"mac": "m"}, {}]),
        ([["add", -1, {"mac": "m", "x": 1}]], INSTANCE_INPUT["nics"], [["add", -1, {"mac": "m"}]]),
        ([["modify", "0", {"size": 1, "x": 1}, {"x": 1}]], INSTANCE_INPUT["disks"], [["modify", "0", {"size": 1}, {}]]),
        ("x", OneOf((DISK, ListOf(TEXT))), None),
        ({1: "x", None: "y"}, NIC, {}),
    ],
)
def test_what_does_not_fit_is_left_out(value: object, shape: Shape, kept: object) -> None:
    assert allowed(value, shape) == kept


def any_json(chance: random.Random, depth: int = 4) -> Any:
    """Anything."""
    kind = chance.randrange(8 if depth else 6)
    if kind == 6:
        return [any_json(chance, depth - 1) for _ in range(chance.randrange(4))]
    if kind == 7:
        keys = ("mac", "name", "nics", "add", "hvparams", "x", "size", "disks", "memory", "boot_order", "operation")
        return {chance.choice(keys): any_json(chance, depth - 1) for _ in range(chance.randrange(5))}
    return chance.choice([None, True, 0, -5, 1.5, "", "text", 1 << 70, float("nan")])


@pytest.mark.parametrize("shape", SHAPES + INPUT_SHAPES)
def test_what_is_allowed_of_anything_fits_and_stays(shape: Shape) -> None:
    chance = random.Random(repr(shape))
    for _ in range(150):
        kept = allowed(any_json(chance), shape)
        if kept is not None:
            assert fits(kept, shape)
            assert allowed(kept, shape) == kept


@pytest.mark.parametrize("shape", SHAPES + INPUT_SHAPES)
def test_what_fits_is_allowed_as_it_is(shape: Shape) -> None:
    chance = random.Random(repr(shape))
    for _ in range(150):
        value = any_value(shape, chance)
        assert fits(value, shape)
        assert allowed(value, shape) == value
        assert fits(bounded(value), shape)
