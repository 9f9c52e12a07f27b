# SPDX-License-Identifier: BSD-2-Clause
"""The manual pages of events and of the spool say what the code does."""

from __future__ import annotations

import json
import re

import pytest

from ganeti_cloud import fields, messages, spool
from ganeti_cloud.messages import COMMON, KINDS, LEFT_OUT, NETWORK, OPERATION, decode
from ganeti_cloud.shapes import CUT, MOST_TEXT
from ganeti_cloud.spool import bounds, names, reading, sequence
from tests.unit import manual

EVENT_PAGE = manual.read("ganeti-cloud-event.7")
SPOOL_PAGE = manual.read("ganeti-cloud-spool.7")


def sub_headings(page: str, heading: str) -> list[str]:
    """The subsections of the section *heading*."""
    text = (manual.FOLDER / page).read_text(encoding="utf-8")
    part = re.split(rf'^\.SH "?{heading}"?$', text, flags=re.MULTILINE)[1].split("\n.SH ")[0]
    return [manual.plain(each.strip('"')) for each in re.findall(r"^\.SS (.*)$", part, re.MULTILINE)]


def test_the_types_are_those_of_the_code() -> None:
    assert sorted(sub_headings("ganeti-cloud-event.7", "TYPES")) == sorted(KINDS)


@pytest.mark.parametrize("type_", KINDS)
def test_a_type_has_its_key_its_object_and_its_fields(type_: str) -> None:
    kind, section = KINDS[type_], EVENT_PAGE[type_]
    thing = f"object {kind.subject}." if kind.subject else "no object."
    assert section.lines[0] == f"Routing key {kind.routing_key}; {thing}"
    # Those of an operation stand in one place, for all types that have them.
    of_operations = set(fields.JOB) if set(fields.JOB) <= set(kind.fields) else set()
    assert sorted(section.tags) == sorted(set(kind.fields) - of_operations)


def test_the_fields_of_every_event_are_described() -> None:
    assert EVENT_PAGE["FIELDS OF EVERY EVENT"].tags == [*COMMON, LEFT_OUT]


@pytest.mark.parametrize(
    ("heading", "shape"),
    [
        ("An operation", fields.JOB),
        ("A NIC", fields.NIC),
        ("A disk", fields.DISK),
        ("hvparams", fields.HVPARAMS),
        ("beparams", fields.BEPARAMS),
        ("job_fields of an instance", KINDS[OPERATION].fields["job_fields"]),
        ("job_fields of a network", KINDS[NETWORK].fields["job_fields"]),
    ],
)
def test_each_key_within_a_field_is_described(heading: str, shape: dict[str, object]) -> None:
    assert sorted(EVENT_PAGE[heading].tags) == sorted(shape)


def test_the_numbers_are_those_of_the_code() -> None:
    text = EVENT_PAGE["DESCRIPTION"].text
    assert f"at most {messages.MOST_BYTES} bytes" in text
    assert f"at most {MOST_TEXT} characters" in text
    assert f'"{CUT}"' in text
    assert f"names at most {messages.MOST_NAME} bytes" in text
    assert f"{messages._MOST_PREFIX} characters" in EVENT_PAGE["TYPES"].text
    assert f"Up to {messages.MOST_ID} characters" in EVENT_PAGE["FIELDS OF EVERY EVENT"].text
    assert EVENT_PAGE["FIELDS OF EVERY EVENT"].lines[1] == f"{messages.SCHEMA}."


def test_the_example_is_an_event() -> None:
    text = EVENT_PAGE["EXAMPLES"].text
    assert decode(text).encode() == json.dumps(json.loads(text), sort_keys=True)


def test_the_spool_is_as_it_says() -> None:
    text = SPOOL_PAGE["BOUNDS"].text
    assert f"takes {bounds.MOST_FILES} files, and {bounds.MOST_BYTES >> 20} MiB" in text
    assert bounds._PATIENT_SHARE == 0.75 and "leaves a quarter of that" in text
    assert f"at least {reading._LEAST_FREE_BYTES >> 20} MiB" in text
    assert f"the last {reading._MOST_CORRUPT} of them" in text
    assert f"longer than {sequence.LOCK_S:g} seconds" in text
    assert SPOOL_PAGE["SYNOPSIS"].text == str(spool.FOLDER)
    assert SPOOL_PAGE["FILES"].tags == ["NUMBER.json", sequence.FILE, f"{names.NEW}*", names.CORRUPT]
    assert f"{names._DIGITS} digits" in SPOOL_PAGE["ORDER"].text
