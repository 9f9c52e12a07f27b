# SPDX-License-Identifier: BSD-2-Clause
"""The settings of a node, and what a disk may say instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.parameters import DEFAULT_CONF, DEFAULT_USER, DISK_PARAMETERS, Settings, refuse_unknown
from ganeti_cloud.errors import RequestError
from tests.unit.settings import SETTINGS

A_NAME = "a name of letters, digits, '_', '.' and '-', with a letter or digit first"


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert Settings.load(str(tmp_path / "none.toml")) == SETTINGS
    assert (SETTINGS.conf, SETTINGS.user) == (DEFAULT_CONF, DEFAULT_USER)


def settings(folder: Path, text: str = "", **parameters: str) -> Settings:
    """The settings with *text* as the file, for a disk with *parameters*."""
    path = folder / "archipelago.toml"
    path.write_text(text)
    return Settings.load(str(path), parameters)


def test_every_key_of_the_file_is_used(tmp_path: Path) -> None:
    text = (
        '[storage]\ndriver = "rados"\n'
        '[ceph]\nconf = "/srv/c.conf"\nuser = "vm"\nkeyring = "/srv/k"\npool = "ssd"\nnamespace = "prod"\n'
        '[file]\nfolder = "/srv/vms"\npool = "slow"\n'
        '[images]\npool = "golden"\nnamespace = "all"\nlimit_gib = 3\n[volumes]\nmax_depth = 4\n'
        '[trash]\nkeep_days = 5\n[attach]\nmap = "nbd"\n'
        '[ganeti]\nrapi = "https://gnt:5080"\nrapi_user = "gc"\nrapi_password_file = "/p"\nrapi_certificate = "/c"\n'
        "[limits]\nconnect_s = 6\noperation_s = 7\n"
    )
    expected = Settings(
        driver="rados",
        conf="/srv/c.conf",
        user="vm",
        keyring="/srv/k",
        pool="ssd",
        namespace="prod",
        folder="/srv/vms",
        image_pool="golden",
        image_namespace="all",
        limit_gib=3,
        max_depth=4,
        keep_days=5,
        map="nbd",
        rapi="https://gnt:5080",
        rapi_user="gc",
        rapi_password_file="/p",
        rapi_certificate="/c",
        connect_s=6,
        operation_s=7,
    )
    assert settings(tmp_path, text) == expected
    in_files = expected._replace(driver="file", pool="slow", namespace="")
    assert settings(tmp_path, text, driver="file") == in_files


def test_images_are_in_the_pool_of_the_volumes_unless_they_have_their_own(tmp_path: Path) -> None:
    text = '[ceph]\npool = "ssd"\nnamespace = "prod"\n[file]\npool = "slow"\n'
    for driver, place in (("rados", ("ssd", "prod")), ("file", ("slow", ""))):
        found = settings(tmp_path, text, driver=driver)
        assert (found.image_pool, found.image_namespace) == place


@pytest.mark.parametrize(
    ("parameters", "changed"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"provider": "archipelago", "access": "userspace", "origin": "debian"}, {}, id="others"),
        pytest.param({"pool": "vm-disks.1"}, {"pool": "vm-disks.1"}, id="pool"),
        pytest.param({"namespace": "tenant_7"}, {"namespace": "tenant_7"}, id="namespace"),
        pytest.param({"user": "ganeti"}, {"user": "ganeti"}, id="user"),
        pytest.param({"conf": "/srv/c", "keyring": "/srv/k"}, {"conf": "/srv/c", "keyring": "/srv/k"}, id="files"),
        pytest.param(
            {"pool": "p", "namespace": "n", "user": "u"}, {"pool": "p", "namespace": "n", "user": "u"}, id="all"
        ),
    ],
)
def test_a_disk_may_live_elsewhere_while_images_stay(
    tmp_path: Path, parameters: dict[str, str], changed: dict[str, str]
) -> None:
    assert settings(tmp_path, **parameters) == Settings(**{**SETTINGS._asdict(), **changed})


def test_a_disk_may_leave_the_configured_namespace(tmp_path: Path) -> None:
    found = settings(tmp_path, '[ceph]\nnamespace = "prod"\n', namespace="")
    assert (found.namespace, found.image_namespace) == ("", "prod")


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
def test_a_disk_cannot_say_anything_else(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        settings(tmp_path, **{key: value})
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
    refuse_unknown({key: "x" for key in ("provider", "access", *DISK_PARAMETERS)})


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
        "the parameters of this provider are origin, reuse_data, driver, pool, namespace, user, keyring, conf",
    )
