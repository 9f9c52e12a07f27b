# SPDX-License-Identifier: BSD-2-Clause
"""Places of volumes in the words of disk parameters, and what Ganeti is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.migrating import place
from ganeti_cloud.errors import RequestError

NO_CONFIG = "/nonexistent"


@pytest.mark.parametrize(
    ("to", "where"),
    [
        ("rados", {"driver": "rados"}),
        ("rados:fast", {"driver": "rados", "pool": "fast"}),
        ("rados:fast/blue", {"driver": "rados", "pool": "fast", "namespace": "blue"}),
        ("file", {"driver": "file"}),
        ("file:nfs", {"driver": "file", "pool": "nfs"}),
    ],
)
def test_a_place_replaces_what_the_disk_had_and_nothing_else(to: str, where: dict[str, str]) -> None:
    had = {"origin": "debian-13", "driver": "file", "pool": "old", "namespace": "x", "user": "me"}
    assert place.moved(had, to) == {"origin": "debian-13", "user": "me", **where}


@pytest.mark.parametrize("to", ["", "nfs", "rados:", "rados:a/", "file:a/b", "RADOS"])
def test_what_is_no_place_is_refused(to: str) -> None:
    with pytest.raises(RequestError, match="is not a place for a volume"):
        place.moved({}, to)


def test_explicit_parameters_name_what_the_configuration_says(tmp_path: Path) -> None:
    config = tmp_path / "archipelago.toml"
    config.write_text('[ceph]\npool = "vms"\nnamespace = "blue"\n[file]\npool = "slow"\n', encoding="utf-8")
    blue = {"driver": "rados", "pool": "vms", "namespace": "blue"}
    assert place.explicit({"origin": "a"}, str(config)) == {"origin": "a", **blue}
    slow = {"driver": "file", "pool": "slow", "namespace": ""}
    assert place.explicit({"driver": "file"}, str(config)) == slow
    assert place.shown(blue, "v") == "rados:vms/blue/v"
    assert place.shown(slow, "v") == "file:slow/v"


def explicit(driver: str, pool: str, namespace: str = "") -> dict[str, str]:
    return {"driver": driver, "pool": pool, "namespace": namespace}


@pytest.mark.parametrize(
    ("recorded", "wanted", "told"),
    [
        ({}, explicit("rados", "fast"), {"driver": "rados", "pool": "fast"}),
        ({"driver": "rados", "pool": "fast"}, explicit("rados", "fast"), {}),
        ({"pool": "fast", "driver": "rados"}, explicit("rados", "rbd"), {"pool": "rbd"}),
        (
            {"pool": "fast", "namespace": "blue"},
            explicit("file", "nfs"),
            {"driver": "file", "pool": "nfs", "namespace": "default"},
        ),
        ({"origin": "a"}, explicit("rados", "a", "b"), {"driver": "rados", "pool": "a", "namespace": "b"}),
    ],
)
def test_ganeti_is_told_what_differs(recorded: dict[str, str], wanted: dict[str, str], told: dict[str, str]) -> None:
    assert place.changes(recorded, wanted, NO_CONFIG) == told


def test_no_namespace_has_to_be_told_where_one_is_configured(tmp_path: Path) -> None:
    config = tmp_path / "archipelago.toml"
    config.write_text('[ceph]\nnamespace = "blue"\n', encoding="utf-8")
    told = place.changes({}, explicit("rados", "fast"), str(config))
    assert told == {"driver": "rados", "pool": "fast", "namespace": ""}
    assert place.changes({}, explicit("file", "nfs"), str(config)) == {"driver": "file", "pool": "nfs"}
