# SPDX-License-Identifier: BSD-2-Clause
"""Scripts that are killed at any moment: the next run puts everything right, and nothing half-made is ever seen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.lab.backends import Backend, Folder
from tests.lab.support import MIB, Provider, Store, imported

pytestmark = pytest.mark.lab

BACKENDS = ("rados", "file", "reflink")
ROUNDS = {"rados": 50, "file": 12, "reflink": 12}


@pytest.fixture(scope="module")
def origin(lab: Lab, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("image") / "killing.raw"
    path.write_bytes(os.urandom(8 * MIB))
    with imported(lab, "killing", path):
        yield "killing"


@pytest.mark.parametrize("verb", ["create", "remove", "grow"])
def test_killed_at_random_moments(lab: Lab, store: Backend, origin: str, verb: str) -> None:
    program = Store(lab).put(Path(__file__).with_name("killing.py"))
    where = store.path if isinstance(store, Folder) else "rados"
    rounds = ROUNDS[store.pool if isinstance(store, Folder) else "rados"]
    argv = ["/usr/bin/python3", program, verb, str(rounds), "20261120", origin, where]
    report = json.loads(lab.node(1).run(argv, timeout_s=900))
    print(json.dumps(report))  # noqa: T201 - for whoever reads a failure
    assert report["wrong"] == []
    image = f"data/{origin}" if isinstance(store, Folder) else f"image.{origin}"
    assert [name.removesuffix(".raw").rpartition(".")[0] for name in report["left"]] == [image]
    assert report["ends"]["killed"] >= rounds // 2  # otherwise the moments were not in the middle of anything
    assert report["looks"] >= rounds


@pytest.mark.backends("rados")
@pytest.mark.parametrize("directory", ["old name", "new name"])
@pytest.mark.parametrize("verb", ["create", "remove"])
def test_a_rename_that_was_cut_short_is_finished(store: Store, provider: Provider, verb: str, directory: str) -> None:
    """A rename writes the new rbd_id, the directory, and takes the old rbd_id away: here it died before or after the
    second step. To remove the unfinished name would be to remove the volume."""
    provider.ok("create", VOL_SIZE="8")
    draft = f"{provider.volume}.unfinished"
    store.node.run(["rados", "-p", "rbd", "get", f"rbd_id.{provider.volume}", "/tmp/id"], timeout_s=30)
    if directory == "old name":
        store.node.run(["rbd", "rename", provider.volume, draft], timeout_s=30)
        store.node.run(["rados", "-p", "rbd", "put", f"rbd_id.{provider.volume}", "/tmp/id"], timeout_s=30)
    else:
        store.node.run(["rados", "-p", "rbd", "put", f"rbd_id.{draft}", "/tmp/id"], timeout_s=30)
    if verb == "create":
        assert "exists already" in provider("create", VOL_SIZE="8").stderr
        assert [name for name in store.names() if not name.startswith("image.")] == [provider.volume]
        assert provider.ok("attach")
    provider.ok("remove")
    assert {name for name in store.objects() if name.startswith("rbd_id.")} == {
        f"rbd_id.{name}" for name in store.names()
    }
