# SPDX-License-Identifier: BSD-2-Clause
"""Keyrings, as `ceph auth get-or-create -o` and people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from archipelago.keyring import key, key_in
from ganeti_cloud.errors import ConfigError, report
from tests.unit.settings import SETTINGS

KEYRING = """\
# two of them
[client.a]
\tkey = AQBhYQ==
\tcaps mon = "profile rbd"

[ client.b ]
key=AQBiYg==
"""


@pytest.mark.parametrize(
    ("client", "found"),
    [("client.a", "AQBhYQ=="), ("client.b", "AQBiYg=="), ("client.c", None), ("client", None), ("", None)],
)
def test_the_key_of_a_client(client: str, found: str | None) -> None:
    assert key_in(KEYRING, client) == found


@pytest.mark.parametrize("line", ["key = ", "key = not base64", "keyfile = AQ==", "# key = AQ=="])
def test_what_is_no_key(line: str) -> None:
    assert key_in(f"[client.a]\n{line}\n", "client.a") is None


def test_a_keyring_that_cannot_be_read(tmp_path: Path) -> None:
    settings = SETTINGS._replace(user="a", keyring=str(tmp_path / "a.keyring"))
    with pytest.raises(ConfigError) as absent:
        key(settings)
    assert report(absent.value) == (
        f"error: {settings.keyring}: [Errno 2] No such file or directory: '{settings.keyring}'\n"
        f"hint: ceph auth get client.a -o {settings.keyring}\n"
    )
    Path(settings.keyring).write_text(KEYRING, encoding="utf-8")
    assert key(settings) == "AQBhYQ=="
    with pytest.raises(ConfigError) as other:
        key(settings._replace(user="c"))
    assert str(other.value) == f"no key of client.c in {settings.keyring}"
