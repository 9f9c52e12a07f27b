# SPDX-License-Identifier: BSD-2-Clause
"""What Ganeti asks of a script."""

from __future__ import annotations

from typing import Any

import pytest

from archipelago.request import Request
from ganeti_cloud.errors import RequestError
from tests.unit.settings import VOLUME

HINT = "Ganeti sets this variable; to try a script by hand see archipelago-provider(7)"
NAME_HINT = "VOL_NAME comes from Ganeti as <uuid>.ext.disk<N>; run the script the way Ganeti does"

# All that Ganeti could set, and more; what a verb has no use for is not even looked at.
ENV = {
    "PATH": "/bin",
    "VOL_NAME": VOLUME,
    "VOL_UUID": "5c0f8c3e-0000-4000-8000-000000000000",
    "VOL_SIZE": "1024",
    "VOL_NEW_SIZE": "2048",
    "VOL_METADATA": "originstname+web1.example.com",
    "VOL_SNAPSHOT_NAME": f"{VOLUME}.snap",
    "VOL_OPEN_EXCLUSIVE": "False",
    "EXTP_PROVIDER": "archipelago",
    "EXTP_ORIGIN": "debian-13",
    "EXTP_WEIRD-KEY": "X=1",
}

NOTHING: dict[str, Any] = {
    "size_mib": None,
    "new_size_mib": None,
    "snapshot": None,
    "metadata": None,
    "exclusive": None,
}


@pytest.mark.parametrize(
    ("verb", "used"),
    [
        ("create", {"size_mib": 1024}),
        ("grow", {"new_size_mib": 2048}),
        ("setinfo", {"metadata": "originstname+web1.example.com"}),
        ("snapshot", {"snapshot": f"{VOLUME}.snap"}),
        ("open", {"exclusive": False}),
        *((verb, {}) for verb in ("attach", "detach", "remove", "verify", "close")),
    ],
)
def test_each_verb_reads_what_it_needs(verb: str, used: dict[str, Any]) -> None:
    parameters = {"provider": "archipelago", "origin": "debian-13", "weird-key": "X=1"}
    expected = Request(**{"verb": verb, "volume": VOLUME, "parameters": parameters, **NOTHING, **used})
    assert Request.from_env(verb, ENV) == expected


@pytest.mark.parametrize(
    ("verb", "key"),
    [
        ("attach", "VOL_NAME"),
        ("create", "VOL_SIZE"),
        ("grow", "VOL_NEW_SIZE"),
        ("setinfo", "VOL_METADATA"),
        ("snapshot", "VOL_SNAPSHOT_NAME"),
        ("open", "VOL_OPEN_EXCLUSIVE"),
    ],
)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_what_is_needed_and_not_set(verb: str, key: str, how: str) -> None:
    env = {**ENV, key: ""}
    if how == "missing":
        del env[key]
    with pytest.raises(RequestError) as caught:
        Request.from_env(verb, env)
    assert (str(caught.value), caught.value.hint) == (f"{key} is not set", HINT)


@pytest.mark.parametrize(("verb", "key"), [("create", "VOL_SIZE"), ("grow", "VOL_NEW_SIZE")])
@pytest.mark.parametrize(
    "value",
    ["0", "-1", "1.5", "1G", " 1", "1\n", "٣", "²", str(1 << 40), "9" * 5000],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_size(verb: str, key: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        Request.from_env(verb, {**ENV, key: value})
    assert (str(caught.value), caught.value.hint) == (f"{key}={value!r} is not a size in MiB", HINT)


def test_the_truths_are_those_of_python() -> None:
    assert Request.from_env("open", {**ENV, "VOL_OPEN_EXCLUSIVE": "True"}).exclusive is True
    with pytest.raises(RequestError) as caught:
        Request.from_env("open", {**ENV, "VOL_OPEN_EXCLUSIVE": "true"})
    assert (str(caught.value), caught.value.hint) == ("VOL_OPEN_EXCLUSIVE='true' is neither True nor False", HINT)


@pytest.mark.parametrize("value", [1, (1 << 40) - 1])
def test_the_bounds_of_a_size(value: int) -> None:
    assert Request.from_env("create", {**ENV, "VOL_SIZE": str(value)}).size_mib == value


@pytest.mark.parametrize(("verb", "key"), [("attach", "VOL_NAME"), ("snapshot", "VOL_SNAPSHOT_NAME")])
def test_what_is_no_name(verb: str, key: str) -> None:
    with pytest.raises(RequestError) as caught:
        Request.from_env(verb, {**ENV, key: "../etc"})
    assert (str(caught.value), caught.value.hint) == ("'../etc' cannot be the name of a volume", NAME_HINT)
