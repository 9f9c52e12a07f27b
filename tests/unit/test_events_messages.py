# SPDX-License-Identifier: BSD-2-Clause
"""Events: what they may carry, and nothing else; and what can be read as one can be told again."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from ganeti_cloud import messages
from ganeti_cloud.messages import KINDS, MOST_BYTES, Event, MessageError, decode, prefix
from ganeti_cloud.shapes import CUT, MOST_TEXT
from tests.unit.event_examples import any_event, full_event

EVENT = Event("id-1", messages.IMAGE_INFO, 1_700_000_000_123_456_000, "c1", "n1", "vm1", {"messages": ["begins"]})


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_with_all_it_may_have_comes_back(kind: str) -> None:
    event = full_event(kind)
    assert decode(event.encode()) == event
    assert event.fields.keys() == KINDS[kind].fields.keys()


@pytest.mark.parametrize("kind", KINDS)
def test_any_event_comes_back_and_is_ascii(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(100):
        event = any_event(kind, chance)
        text = event.encode()
        assert text.isascii()
        assert decode(text) == event


@pytest.mark.parametrize("kind", KINDS)
def test_no_field_hides_one_that_every_event_has(kind: str) -> None:
    hidden = {*messages.COMMON, KINDS[kind].subject, messages.LEFT_OUT}
    assert KINDS[kind].fields.keys() & hidden == set()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("unknown", ["osparams", "osparams_secret", "osparams_private", "id", "schema", ""])
def test_no_event_has_room_for_anything_else(kind: str, unknown: str) -> None:
    event = full_event(kind)
    with pytest.raises(ValueError, match=f"an event {kind} has no such field {unknown}"):
        event._replace(fields={**event.fields, unknown: "canary"}).encode()


def damaged(value: Any, chance: random.Random) -> Any:
    """*value* with a canary somewhere in it."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(sorted(value))
        return {**value, key: damaged(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], damaged(value[place], chance), *value[place + 1 :]]
    if isinstance(value, dict):
        return {**value, "canary": "canary"}
    return {"canary": "canary"}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_hidden_within_a_field(kind: str) -> None:
    chance = random.Random(kind)
    for _ in range(60):
        event = full_event(kind)
        name = chance.choice(sorted(event.fields))
        fields = {**event.fields, name: damaged(event.fields[name], chance)}
        with pytest.raises(ValueError, match=f"has no such field {name}"):
            event._replace(fields=fields).encode()
        # What stands in a file nevertheless is not published either.
        text = json.dumps({**json.loads(event.encode()), name: fields[name]})
        assert "canary" not in decode(text).encode()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"type": "no-such"}, "there are no events no-such"),
        ({"id": ""}, "an id has 1 to 64 characters"),
        ({"id": "x" * 65}, "an id has 1 to 64 characters"),
        ({"id": "ü"}, "an id has 1 to 64 characters"),
        ({"id": "a\nb"}, "an id has 1 to 64 characters"),
        ({"subject": "x" * 256}, "a name has at most 255 bytes"),
        ({"cluster": "ü" * 128}, "a name has at most 255 bytes"),
        ({"node": "\udc80"}, "surrogates not allowed"),
        ({"time_ns": -1}, "the time is out of all bounds"),
        ({"time_ns": 1 << 70}, "the time is out of all bounds"),
    ],
)
def test_what_is_wrong_with_an_event_is_said(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        EVENT._replace(**changes).encode()


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1 << 63, True])
def test_what_is_no_number_of_json_is_none(number: float) -> None:
    event = EVENT._replace(type=messages.IMAGE_COPY, fields={"progress": number})
    with pytest.raises(ValueError, match="no such field progress"):
        event.encode()


def test_the_time_travels_in_microseconds_by_whatever_road() -> None:
    event = EVENT._replace(time_ns=1_700_000_000_123_456_789)
    once = decode(event.encode())
    assert once.time_ns == 1_700_000_000_123_456_000
    assert once.encode() == event.encode()


def test_long_texts_are_cut_and_say_so() -> None:
    fields = {"logmsg": "x" * (MOST_TEXT + 1), "result": "y" * MOST_TEXT, "tags": ["z" * 5000]}
    told = decode(EVENT._replace(type=messages.OPERATION, fields=fields).encode()).fields
    assert told == {
        "logmsg": "x" * (MOST_TEXT - len(CUT)) + CUT,
        "result": "y" * MOST_TEXT,
        "tags": ["z" * (MOST_TEXT - len(CUT)) + CUT],
    }


def test_bytes_that_are_no_utf_8_do_not_travel() -> None:
    event = EVENT._replace(fields={"messages": ["a\udc80b", "λ"]})
    assert decode(event.encode()).fields == {"messages": ["a?b", "λ"]}


@pytest.mark.parametrize("letter", ["x", "😀"])
def test_an_event_that_is_too_large_says_what_was_left_out(letter: str) -> None:
    many = [letter * 4000] * 40
    fields = {"instance_tags": many, "operation": "OP_INSTANCE_SET_PARAMS", "tags": many[:5]}
    event = EVENT._replace(type=messages.OPERATION, fields=fields)
    text = event.encode()
    assert len(text) <= MOST_BYTES
    told = decode(text)
    assert told.fields["operation"] == "OP_INSTANCE_SET_PARAMS"
    left_out = ["instance_tags"] if letter == "x" else ["instance_tags", "tags"]
    assert told.fields["left_out"] == left_out
    assert told.encode() == text


def test_only_fields_can_have_been_left_out() -> None:
    impossible: list[object] = [["canary"], "canary", ["messages", 1]]
    for names in impossible:
        with pytest.raises(ValueError, match="no such field left_out"):
            EVENT._replace(fields={"left_out": names}).encode()
        text = json.dumps({**json.loads(EVENT.encode()), "left_out": names})
        assert decode(text) == EVENT


WRONG: list[dict[str, Any]] = [
    {"schema": 2},
    {"schema": "1"},
    {"schema": True},
    {"type": "no-such"},
    {"id": 1},
    {"id": ""},
    {"id": "x" * 65},
    {"event_time": []},
    {"event_time": [1]},
    {"event_time": [1, 2, 3]},
    {"event_time": [1, 10**6]},
    {"event_time": [1, -1]},
    {"event_time": [-1, 0]},
    {"event_time": [1 << 62, 0]},
    {"event_time": [1.5, 0]},
    {"event_time": {"0": 1, "1": 2}},
    {"timestamp": math.nan},
    {"timestamp": "now"},
    {"instance": None},
    {"instance": "x" * 256},
    {"instance": "\ud800"},
    {"cluster": None},
    {"node": ["n1"]},
]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "1",
        "{}",
        '"text"',
        "[" * 100_000,
        '{"type": []}',
        '{"type": "image-info"}',
        EVENT.encode()[:-1],
        EVENT.encode() + "}",
        *(json.dumps({**json.loads(EVENT.encode()), **wrong}) for wrong in WRONG),
        EVENT.encode().replace("1700000000.123456", "1e999"),
        EVENT.encode().replace("1700000000.123456", "9" * 5000),
    ],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(MessageError, match="^this is no event: "):
        decode(text)


def test_what_this_version_does_not_know_is_left_out() -> None:
    assert decode(json.dumps({**json.loads(EVENT.encode()), "newer": 1})) == EVENT


def _flip(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    return text[:place] + chr(chance.choice([0, 34, 44, 45, 57, 91, 93, 123, 125, 0xD800, 0x1F600])) + text[place + 1 :]


def _splice(text: str, chance: random.Random) -> str:
    first, last = sorted(chance.randrange(len(text)) for _ in range(2))
    return text[:first] + text[last:]


def _repeat(text: str, chance: random.Random) -> str:
    first, last = sorted(chance.randrange(len(text)) for _ in range(2))
    return text[:last] + text[first:]


def _number(text: str, chance: random.Random) -> str:
    junk = chance.choice(["1e999", "-1", "NaN", "null", "9" * 30, "[]", "{}", '"x"', "true", "1.5"])
    return text.replace(chance.choice(["1700000000", "123456", "1", '"n1"', '"c1"']), junk, 1)


@pytest.mark.parametrize("mutate", [_flip, _splice, _repeat, _number])
def test_junk_is_refused_or_can_be_told_again(mutate: Callable[[str, random.Random], str]) -> None:
    chance = random.Random(mutate.__name__)
    texts = [full_event(kind).encode() for kind in KINDS]
    taken = 0
    for _ in range(1500):
        text = chance.choice(texts)
        for _ in range(chance.randrange(1, 4)):
            text = mutate(text, chance)
        try:
            event = decode(text)
        except MessageError:
            continue
        taken += 1
        assert decode(event.encode()) == event
        assert len(event.routing_key) <= 255
    assert 0 < taken < 1500


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("web-1.example.com", "web"),
        ("vm1", "vm1"),
        ("vm1.example.com", "vm1_example_com"),
        ("-1", "_"),
        ("", "_"),
        ("a#b*c d", "a_b_c_d"),
        ("ü1", "_1"),
        ("x" * 300, "x" * 200),
    ],
)
def test_the_prefix_is_one_word_of_a_routing_key(name: str, word: str) -> None:
    assert prefix(name) == word


@pytest.mark.parametrize("kind", KINDS)
def test_every_routing_key_has_room(kind: str) -> None:
    event = full_event(kind)
    key = event._replace(subject="x" * 255 if KINDS[kind].subject else "").routing_key
    assert len(key) <= 255
    assert "{" not in key
