# SPDX-License-Identifier: BSD-2-Clause
"""Writes docs/event.schema.json: the JSON Schema (draft 2020-12) of events, made of the shapes that they have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ganeti_cloud import messages
from ganeti_cloud.messages import COMMON, KINDS, LEFT_OUT, Kind
from ganeti_cloud.shapes import MOST_TEXT, MOST_WHOLE, ListOf, OneOf, Shape

PLACE = Path(__file__).parents[1] / "docs" / "event.schema.json"

_TYPES: Mapping[type, Mapping[str, Any]] = {
    str: {"type": "string", "maxLength": MOST_TEXT},
    int: {"type": "integer", "minimum": -MOST_WHOLE, "maximum": MOST_WHOLE},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
}
_NAME = {"type": "string", "maxLength": messages.MOST_NAME}
# What shapes do not say of the fields that every event has.
_COMMON: Mapping[str, Mapping[str, Any]] = {
    "schema": {"const": messages.SCHEMA},
    "id": {"type": "string", "pattern": f"^[ -~]{{1,{messages.MOST_ID}}}$"},
    "type": {"enum": sorted(KINDS)},
    "event_time": {
        "description": "seconds since 1970, and microseconds",
        "type": "array",
        "prefixItems": [
            {"type": "integer", "minimum": 0, "maximum": messages.MOST_SECONDS},
            {"type": "integer", "minimum": 0, "maximum": 999_999},
        ],
        "minItems": 2,
        "maxItems": 2,
    },
    "timestamp": {"description": "the same as one number", "type": "number", "minimum": 0},
    "cluster": _NAME,
    "node": _NAME,
}


def of_shape(shape: Shape) -> dict[str, Any]:
    """The schema of values that have the *shape*."""
    if isinstance(shape, ListOf):
        return {"type": "array", "items": of_shape(shape.of)}
    if isinstance(shape, OneOf):
        return {"anyOf": [of_shape(each) for each in shape.shapes]}
    if isinstance(shape, Mapping):
        properties = {key: of_shape(each) for key, each in shape.items()}
        return {"type": "object", "properties": properties, "additionalProperties": False}
    single = [dict(_TYPES[each]) for each in shape]
    return single[0] if len(single) == 1 else {"anyOf": single}


def of_kind(type_: str, kind: Kind) -> dict[str, Any]:
    """The schema of the events of one type."""
    left_out = {"type": "array", "items": {"enum": sorted(kind.fields)}, "uniqueItems": True}
    own = {name: of_shape(shape) for name, shape in kind.fields.items()}
    subject = {kind.subject: _NAME} if kind.subject else {}
    common = {**_COMMON, "type": {"const": type_}}
    return {
        "description": f"Routing key {kind.routing_key}",
        "type": "object",
        "properties": {**common, **subject, **own, LEFT_OUT: left_out},
        "required": [*COMMON, *subject],
        "additionalProperties": False,
    }


def text() -> str:
    """The document."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:ganeti-cloud:event:{messages.SCHEMA}",
        "title": "Events of ganeti-cloud",
        "description": "See ganeti-cloud-event(7).",
        "oneOf": [{"$ref": f"#/$defs/{type_}"} for type_ in KINDS],
        "$defs": {type_: of_kind(type_, kind) for type_, kind in KINDS.items()},
    }
    return json.dumps(schema, indent=1) + "\n"


if __name__ == "__main__":
    PLACE.write_text(text(), encoding="utf-8")
