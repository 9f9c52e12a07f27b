# SPDX-License-Identifier: BSD-2-Clause
"""The JSON Schema of events says the same as the program, in the eyes of a validator that others have."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ganeti_cloud import messages
from ganeti_cloud.messages import COMMON, KINDS
from tests.unit.event_examples import any_event, full_event
from tests.unit.test_events_messages import damaged
from tools import event_schema

SCHEMA = json.loads(event_schema.PLACE.read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)


def told(kind: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(full_event(kind).encode())
    return event


def accepts(value: object) -> bool:
    return bool(VALIDATOR.is_valid(value))


def test_the_document_is_current() -> None:
    assert event_schema.PLACE.read_text(encoding="utf-8") == event_schema.text(), "run python3 -m tools.event_schema"


def test_the_document_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert set(event_schema._COMMON) == set(COMMON)


@pytest.mark.parametrize("kind", KINDS)
def test_events_are_accepted(kind: str) -> None:
    chance = random.Random(kind)
    assert accepts(told(kind))
    for _ in range(20):
        assert accepts(json.loads(any_event(kind, chance).encode()))


def test_an_event_with_fields_left_out_is_accepted() -> None:
    event = full_event(messages.OPERATION)
    text = event._replace(fields={**event.fields, "tags": ["x" * 4096] * 64}).encode()
    assert "left_out" in json.loads(text)
    assert accepts(json.loads(text))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unknown", ["osparams", "osparams_secret", "password"])
def test_an_unknown_key_is_refused(kind: str, unknown: str) -> None:
    assert not accepts({**told(kind), unknown: "canary"})


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_key_is_refused_within_a_field_as_well(kind: str) -> None:
    chance = random.Random(kind)
    for name in KINDS[kind].fields:
        for _ in range(5):
            assert not accepts({**told(kind), name: damaged(told(kind)[name], chance)}), name


@pytest.mark.parametrize("kind", KINDS)
def test_what_every_event_has_is_required(kind: str) -> None:
    for name in [*COMMON, *filter(None, [KINDS[kind].subject])]:
        assert not accepts({key: value for key, value in told(kind).items() if key != name}), name


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": 2},
        {"type": "no-such"},
        {"id": ""},
        {"id": "x" * 65},
        {"event_time": [1]},
        {"event_time": [1, 10**6]},
        {"event_time": [-1, 0]},
        {"timestamp": "now"},
        {"instance": None},
        {"left_out": ["osparams"]},
        {"messages": ["x" * 4097]},
    ],
)
def test_what_the_program_refuses_the_schema_refuses(wrong: dict[str, Any]) -> None:
    assert not accepts({**told(messages.IMAGE_INFO), **wrong})
