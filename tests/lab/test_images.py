# SPDX-License-Identifier: BSD-2-Clause
"""The catalogue of images on a real cluster: versions, names, properties, contents that come in and go."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.ceph import data_bytes
from lab.lab import Lab
from tests.lab.support import MIB, Archipelago, Provider, Put, Store, call, told

pytestmark = pytest.mark.lab

BLOCK = 4 * MIB


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    """Six blocks: data, data, zeros, data, zeros, and half a block of data."""
    data = [os.urandom(BLOCK) for _ in range(3)]
    return data[0] + data[1] + bytes(BLOCK) + data[2] + bytes(BLOCK) + os.urandom(BLOCK // 2)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def changed(content: bytes, *blocks: int, to: bytes | None = None) -> bytes:
    """*content* with other data in *blocks*."""
    for block in blocks:
        new = os.urandom(BLOCK) if to is None else to
        content = content[: block * BLOCK] + new + content[(block + 1) * BLOCK :]
    return content


# contents


def test_what_is_there_already_is_not_stored_again(archipelago: Archipelago, put: Put, content: bytes) -> None:
    path = put("same.raw", content)
    first = archipelago.json("image", "import", "same", path)
    assert (first["sha256"], first["new"], first["blocks_written"]) == (sha256(content), True, 4)
    before = data_bytes(archipelago.store.node)
    again = archipelago.json("image", "import", "same", path)
    other = archipelago.json("image", "import", "other", path)
    assert (again["new"], again["blocks_written"]) == (False, 0)
    assert (other["new"], other["blocks_written"], other["shared_with"]) == (True, 0, "same")
    assert data_bytes(archipelago.store.node) == before
    assert archipelago.list() == [("other", sha256(content)), ("same", sha256(content))]
    archipelago.ok("image", "remove", "same")
    assert archipelago.exported("other") == sha256(content)  # what they shared stays for the other


def test_sync_writes_only_what_changed(archipelago: Archipelago, put: Put, content: bytes, store: Store) -> None:
    archipelago.ok("image", "sync", "line", put("v1.raw", content))  # unknown: it is made
    second = changed(changed(content, 1), 3, to=bytes(BLOCK))  # one block other data, one block zeros
    path = put("v2.raw", second)
    assert archipelago.json("image", "sync", "-n", "line", path)["blocks_written"] == 2
    told = archipelago.json("image", "sync", "line", path)
    assert (told["blocks"], told["blocks_written"], told["bytes_written"]) == (6, 2, BLOCK)
    versions = ["rbd", "diff", "--format=json", f"--from-snap={sha256(content)}", f"{told['holder']}@{sha256(second)}"]
    changes = json.loads(store.node.run(versions, timeout_s=30))
    assert [(each["offset"], each["exists"]) for each in changes] == [(BLOCK, "true"), (3 * BLOCK, "false")]
    assert archipelago.json("image", "sync", "line", path)["new"] is False
    assert archipelago.list("--versions") == [("line", sha256(second)), ("line", sha256(content))]
    assert archipelago.list() == [("line", sha256(second))]
    for name, wanted in (("line", second), (f"line@sha256:{sha256(content)[:12]}", content)):
        archipelago.ok("image", "export", "--force", name, "/srv/shared/out.raw")
        assert (store.lab.places.shared / "out.raw").read_bytes() == wanted
    assert len([name for name in store.names() if name.startswith("image.line.")]) == 1


@pytest.mark.parametrize("size", [3 * BLOCK, 8 * BLOCK + 512], ids=["smaller", "larger"])
def test_a_version_of_another_size(
    archipelago: Archipelago, put: Put, content: bytes, provider: Provider, size: int
) -> None:
    archipelago.ok("image", "import", "size", put("v1.raw", content))
    second = (content + os.urandom(4 * BLOCK))[:size]
    archipelago.ok("image", "sync", "size", put("v2.raw", second))
    archipelago.ok("image", "sync", "size", put("v1.raw", content))  # the first comes back, and is the newest
    assert archipelago.list("--versions") == [("size", sha256(content)), ("size", sha256(second))]
    third = changed(content, 0)
    assert archipelago.json("image", "sync", "size", put("v3.raw", third))["sha256"] == sha256(third)
    assert archipelago.exported("size") == sha256(third)


def test_import_refuses_a_name_with_another_content(archipelago: Archipelago, put: Put, content: bytes) -> None:
    archipelago.ok("image", "import", "taken", put("v1.raw", content))
    error = archipelago.refused("image", "import", "taken", put("v2.raw", content[:BLOCK]))
    assert error == "there is an image 'taken' already, with another content"


# disks of versions


def test_disks_of_a_name_and_of_a_pinned_version(
    archipelago: Archipelago, put: Put, content: bytes, provider: Provider
) -> None:
    archipelago.ok("image", "import", "disk", put("v1.raw", content))
    second = changed(content, 0)
    archipelago.ok("image", "sync", "disk", put("v2.raw", second))
    for origin, wanted in (("disk", second), (f"disk@sha256:{sha256(content)[:12]}", content)):
        provider.parameters["origin"] = origin
        provider.ok("verify")
        provider.ok("create", VOL_SIZE="64")
        device = provider.ok("attach").splitlines()[0]
        read = call(provider.node, ["sh", "-c", f"head -c {len(wanted)} {device} | sha256sum"]).stdout.split()[0]
        assert read == sha256(wanted)
        meta = archipelago.store.node.run(["rbd", "image-meta", "list", provider.volume], timeout_s=30)
        assert "ganeti-cloud.image." not in meta
        provider.ok("remove")
    provider.parameters["origin"] = "disk@sha256:" + "0" * 12
    assert "error: there is no image 'disk@sha256:000000000000'" in provider("create", VOL_SIZE="64").stderr


@pytest.fixture(params=["1", "2"])
def clone_format(request: pytest.FixtureRequest, lab: Lab) -> Iterator[str]:
    """The format of clones that node 1 makes for this test."""
    conf = lab.node(1).run(["cat", "/etc/ceph/ceph.conf"], timeout_s=30)
    lab.node(1).write("/etc/ceph/ceph.conf", f"{conf}\n[client]\nrbd_default_clone_format = {request.param}\n")
    yield request.param
    lab.node(1).write("/etc/ceph/ceph.conf", conf)


def test_an_image_goes_before_its_clones(
    archipelago: Archipelago, put: Put, content: bytes, provider: Provider, clone_format: str, store: Store
) -> None:
    archipelago.ok("image", "import", "gone", put("v1.raw", content))
    provider.parameters["origin"] = "gone"
    provider.ok("create", VOL_SIZE="64")
    [version] = json.loads(archipelago.ok("image", "info", "gone", "--json"))["versions"]
    assert version["clones"] == [provider.volume]
    archipelago.ok("image", "remove", "gone", "-n")
    told = archipelago.json("image", "remove", "gone")
    assert told["kept_for_clones"] == ([sha256(content)] if clone_format == "1" else [])
    assert archipelago.list() == []
    assert "nothing to do" in archipelago("image", "remove", "gone").stderr
    device = provider.ok("attach").splitlines()[0]
    read = call(provider.node, ["sh", "-c", f"head -c {len(content)} {device} | sha256sum"]).stdout.split()[0]
    assert read == sha256(content)
    provider.ok("remove")
    if clone_format == "1":
        # uncatalogued, it is found by its content, and goes with the name that it gets
        assert archipelago.json("image", "import", "back", put("v1.raw", content))["blocks_written"] == 0


@pytest.mark.parametrize("clone_format", ["1"], indirect=True)
def test_a_content_without_a_name_goes_when_its_clones_are_gone(
    archipelago: Archipelago, put: Put, content: bytes, provider: Provider, clone_format: str, store: Store
) -> None:
    archipelago.ok("image", "import", "nameless", put("v1.raw", content))
    provider.parameters["origin"] = "nameless"
    provider.ok("create", VOL_SIZE="64")
    archipelago.ok("image", "remove", "nameless")

    def collected(*arguments: str) -> list[str]:
        return [each["action"] for each in told(provider.node, "gc", *arguments) if each["name"].startswith("image.")]

    assert collected() == []
    provider.ok("remove")
    assert (collected("--dry-run"), collected(), collected()) == (["purge"], ["purge"], [])
    assert store.names() == []


def test_versions_are_removed_one_by_one(archipelago: Archipelago, put: Put, content: bytes, store: Store) -> None:
    contents = [content, changed(content, 0), changed(content, 1)]
    for number, each in enumerate(contents):
        archipelago.ok("image", "sync", "many", put(f"v{number}.raw", each))
    archipelago.ok("image", "remove", f"many@sha256:{sha256(contents[2])[:12]}")
    archipelago.ok("image", "remove", f"many@sha256:{sha256(contents[0])}")
    assert archipelago.list("--versions") == [("many", sha256(contents[1]))]
    assert archipelago.exported("many") == sha256(contents[1])
    assert archipelago.json("image", "sync", "many", put("again.raw", contents[0]))["blocks_written"] == 1
    archipelago.ok("image", "remove", "many")
    assert [name for name in store.names() if name.startswith("image.")] == []


def test_properties_are_kept_and_inherited(archipelago: Archipelago, put: Put, content: bytes) -> None:
    archipelago.ok("image", "import", "props", put("v1.raw", content))
    archipelago.ok("image", "set", "props", "OSFAMILY=linux", "USERS=root debian", "X_1=a=b")
    assert archipelago.ok("image", "set", "props", "--unset", "X_1", "--unset", "NONE") == (
        "OSFAMILY=linux\nUSERS=root debian\n"
    )
    archipelago.ok("image", "sync", "props", put("v2.raw", changed(content, 0)))
    archipelago.ok("image", "set", f"props@sha256:{sha256(content)[:12]}", "OSFAMILY=other")
    newest, first = json.loads(archipelago.ok("image", "info", "props", "--json"))["versions"]
    assert (newest["properties"]["OSFAMILY"], newest["properties"]["USERS"]) == ("linux", "root debian")
    assert first["properties"]["OSFAMILY"] == "other"
    assert archipelago.refused("image", "set", "props", "lower=x") == "lower='x' cannot be a property of an image"


@pytest.mark.parametrize("removed_first", ["volume", "image"])
def test_an_image_of_a_snapshot_copies_nothing(
    archipelago: Archipelago, put: Put, content: bytes, provider: Provider, store: Store, removed_first: str
) -> None:
    archipelago.ok("image", "import", "base", put("v1.raw", content))
    provider.parameters["origin"] = "base"
    provider.ok("create", VOL_SIZE="24")
    provider.ok("setinfo", VOL_METADATA="originstname+inst1.lab.test")
    device = provider.ok("attach").splitlines()[0]
    call(
        provider.node, ["sh", "-c", f"head -c 4194304 /dev/urandom | dd of={device} bs=1M oflag=direct iflag=fullblock"]
    )
    whole = call(provider.node, ["sh", "-c", f"sha256sum < {device}"]).stdout.split()[0]
    provider.ok("detach")
    store.node.run(["rbd", "snap", "create", "--no-progress", f"{provider.volume}@ready"], timeout_s=30)
    before = data_bytes(store.node)
    told = archipelago.json("image", "create", "golden", "--from-snapshot", f"{provider.volume}@ready")
    assert (told["sha256"], told["blocks_written"], told["size_bytes"]) == (whole, 0, 24 * MIB)
    assert data_bytes(store.node) == before
    again = archipelago.json("image", "create", "golden", "--from-snapshot", f"{provider.volume}@ready")
    assert again["new"] is False
    meta = store.node.run(["rbd", "image-meta", "list", str(told["holder"])], timeout_s=30)
    assert "ganeti-cloud" not in meta
    disk = Provider(provider.node, f"{os.urandom(16).hex()}.ext.disk0", {"origin": "golden"})
    disk.ok("create", VOL_SIZE="24")
    read = call(disk.node, ["sh", "-c", f"sha256sum < {disk.ok('attach').splitlines()[0]}"]).stdout.split()[0]
    assert read == whole
    disk.ok("remove")
    if removed_first == "image":
        archipelago.ok("image", "remove", "golden")
    store.node.run(["rbd", "snap", "rm", "--no-progress", f"{provider.volume}@ready"], timeout_s=30)
    provider.ok("remove")
    if removed_first == "volume":
        assert archipelago.exported("golden") == whole
    none = archipelago.refused("image", "create", "none", "--from-snapshot", f"{provider.volume}@ready")
    assert none == f"there is no snapshot '{provider.volume}@ready'"
