# SPDX-License-Identifier: BSD-2-Clause
"""The errors of Ceph's bindings, put into words. The connection itself is tested against a real cluster."""

from __future__ import annotations

import errno

import pytest
import rados
import rbd

from archipelago.rados.cluster import errno_of, explained
from ganeti_cloud.errors import StorageError, report
from tests.unit.settings import SETTINGS

NODE = SETTINGS._replace(user="vm", pool="ssd", image_pool="ssd", operation_s=7)


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
@pytest.mark.parametrize("kind", [rados.Error, rbd.OSError], ids=["rados", "rbd"])
@pytest.mark.parametrize(
    ("number", "text"),
    [
        pytest.param(
            errno.ETIMEDOUT,
            "error: the Ceph cluster did not answer within 7 s (why)\n"
            "hint: `ceph -s` shows which OSD or placement group is stuck; try again when it is healthy\n",
            id="time-out",
        ),
        *(
            pytest.param(
                number,
                "error: pool 'ssd' is full\n"
                "hint: make room or raise the pool's quota: see `ceph df` and `ceph health detail`\n",
                id=name,
            )
            for number, name in ((errno.ENOSPC, "full"), (errno.EDQUOT, "quota"))
        ),
        *(
            pytest.param(
                number,
                "error: client.vm may not do this in pool 'ssd' (why)\n"
                "hint: compare its caps (`ceph auth get client.vm`) with those in archipelago.toml(5)\n",
                id=name,
            )
            for number, name in ((errno.EPERM, "not permitted"), (errno.EACCES, "no access"))
        ),
        pytest.param(
            errno.EXDEV,
            "error: this cluster still makes clones of the first format, which cannot reach across namespaces (why)\n"
            "hint: `ceph osd set-require-min-compat-client mimic` allows the second one, or keep images and volumes "
            "in one namespace\n",
            id="across namespaces",
        ),
        pytest.param(
            errno.ESHUTDOWN,
            "error: this client has been fenced by another one\n"
            "hint: the volume is used elsewhere; see `ceph osd blocklist ls`\n",
            id="fenced",
        ),
        pytest.param(errno.EIO, "error: Ceph: why\nhint: see `ceph -s` and `ceph health detail`\n", id="any other"),
        pytest.param(None, "error: Ceph: why\nhint: see `ceph -s` and `ceph health detail`\n", id="none"),
    ],
)
def test_explained(
    kind: type[rados.Error | rbd.OSError], number: int | None, sign: int, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Why(kind):  # type: ignore[valid-type, misc] # a class that is a parameter cannot be checked
        """An error of the bindings with a text of ours: theirs differ between releases."""

        def __init__(self) -> None:
            self.errno = None if number is None else sign * number

        def __str__(self) -> str:
            return "why"

    explanation = explained(Why(), NODE)
    assert (type(explanation), report(explanation)) == (StorageError, text)


def test_who_may_not_is_told_both_pools() -> None:
    elsewhere = NODE._replace(namespace="a", image_pool="images")
    told = str(explained(rbd.OSError("why", errno=errno.EPERM), elsewhere))
    assert told.startswith("client.vm may not do this in pool 'ssd/a' or 'images' (")


def test_errno_of_other_errors() -> None:
    assert errno_of(ValueError("x")) is None
    assert errno_of(rados.TimedOut("x")) is None
    assert errno_of(OSError(errno.ENOENT, "x")) == errno.ENOENT
