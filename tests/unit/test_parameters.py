# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a node, and what a disk may say instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.parameters import DEFAULT_CONF, DEFAULT_USER, Settings, refuse_unknown
from ganeti_cloud.errors import RequestError
from tests.unit.settings import SETTINGS

A_NAME = "a name of letters, digits, '_', '.' and '-', with a letter or digit first"


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert Settings.load(str(tmp_path / "none.toml")) == SETTINGS
    assert (SETTINGS.conf, SETTINGS.user) == (DEFAULT_CONF, DEFAULT_USER)


def test_every_key_of_the_file_is_used(tmp_path: Path) -> None:
    path = tmp_path / "archipelago.toml"
    path.write_text(
        '[ceph]\nconf = "/srv/c.conf"\nuser = "vm"\npool = "ssd"\nnamespace = "prod"\n'
        '[attach]\nmap = "nbd"\n[limits]\nconnect_s = 3\noperation_s = 4\n'
    )
    assert Settings.load(str(path)) == Settings(
        conf="/srv/c.conf",
        user="vm",
        pool="ssd",
        namespace="prod",
        map="nbd",
        connect_s=3,
        operation_s=4,
        image_pool="ssd",
        image_namespace="prod",
    )


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"provider": "archipelago", "access": "userspace", "origin": "debian"}, {}, id="others"),
        pytest.param({"pool": "vm-disks.1"}, {"pool": "vm-disks.1"}, id="pool"),
        pytest.param({"namespace": "tenant_7"}, {"namespace": "tenant_7"}, id="namespace"),
        pytest.param({"user": "ganeti"}, {"user": "ganeti"}, id="user"),
        pytest.param(
            {"pool": "p", "namespace": "n", "user": "u"}, {"pool": "p", "namespace": "n", "user": "u"}, id="all"
        ),
    ],
)
def test_a_disk_may_live_elsewhere_while_images_stay(parameters: dict[str, str], changed: dict[str, str]) -> None:
    assert SETTINGS.for_disk(parameters) == Settings(**{**SETTINGS._asdict(), **changed})


def test_a_disk_may_leave_the_configured_namespace() -> None:
    settings = SETTINGS._replace(namespace="prod", image_namespace="prod")
    assert settings.for_disk({"namespace": ""}) == settings._replace(namespace="")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pool", ""),
        ("pool", "a/b"),
        ("pool", "a:conf=/tmp/x"),
        ("pool", "a@b"),
        ("pool", "ä"),
        ("namespace", "a/b"),
        ("namespace", "a b"),
        ("user", ""),
        ("user", "client,admin"),
        ("user", "x\n"),
    ],
)
def test_a_disk_cannot_say_anything_else(key: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        SETTINGS.for_disk({key: value})
    assert (str(caught.value), caught.value.hint) == (
        f"disk parameter {key}={value!r} is not {A_NAME}",
        f"give --disk N:{key}=… another value, or leave it out for the configured one",
    )


@pytest.mark.parametrize(
    ("namespace", "spec"), [pytest.param("", "rbd/v", id="no namespace"), pytest.param("n", "rbd/n/v", id="namespace")]
)
def test_spec(namespace: str, spec: str) -> None:
    assert SETTINGS._replace(namespace=namespace).spec("v") == spec


def test_known_parameters_pass() -> None:
    refuse_unknown({key: "x" for key in ("provider", "access", "origin", "pool", "namespace", "user")})


@pytest.mark.parametrize(
    ("keys", "named"),
    [(["parent"], "'parent'"), (["weird-key", "a", "pool"], "'a', 'weird-key'")],
    ids=["one", "several, sorted"],
)
def test_unknown_parameters_are_refused(keys: list[str], named: str) -> None:
    with pytest.raises(RequestError) as caught:
        refuse_unknown(dict.fromkeys(keys, "x"))
    assert (str(caught.value), caught.value.hint) == (
        f"unknown disk parameter {named}",
        "the parameters of this provider are origin, pool, namespace, user",
    )
