# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator does with volumes means the same in every store: snapshots, clones, renames, the trash."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.lab.backends import Backend
from tests.lab.support import MIB, Provider, archipelago, imported, told

pytestmark = pytest.mark.lab

BACKENDS = ("rados", "file", "reflink")


@pytest.fixture(scope="module")
def origin(lab: Lab, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("image") / "contract.raw"
    path.write_bytes(os.urandom(8 * MIB))
    with imported(lab, "contract", path):
        yield "contract"


@pytest.fixture
def another(provider: Provider) -> Iterator[Callable[[str], Provider]]:
    """Makes a name for one more volume; at the end of the test all of them are removed, the newest first."""
    made: list[Provider] = []

    def name(suffix: str) -> Provider:
        made.append(Provider(provider.node, f"{provider.volume}.{suffix}"))
        return made[-1]

    yield name
    for each in [*reversed(made), provider]:
        each("remove")
    for each in [*reversed(made), provider]:
        archipelago(provider.node, "trash", "purge", "--now", each.volume)
    archipelago(provider.node, "trash", "purge")


def write(provider: Provider, text: str) -> None:
    """Put *text* into the second MiB of the volume, through its device."""
    device = provider.ok("attach").splitlines()[0]
    put = f"printf '%-4096s' '{text}' | dd of={device} bs=4096 seek=256 count=1 iflag=fullblock oflag=direct"
    provider.node.run(["sh", "-c", put], timeout_s=30)


def read(provider: Provider) -> str:
    """What :func:`write` put there last."""
    device = provider.ok("attach").splitlines()[0]
    get = f"dd if={device} bs=4096 skip=256 count=1 iflag=direct status=none | tr -d '\\0'"
    return provider.node.run(["sh", "-c", get], timeout_s=30).strip()


@pytest.mark.parametrize("attached", [True, False], ids=["attached", "detached"])
def test_a_snapshot_a_clone_of_it_and_the_way_back(
    origin: str, provider: Provider, another: Callable[[str], Provider], attached: bool
) -> None:
    provider.parameters["origin"] = origin
    provider.ok("create", VOL_SIZE="16")
    write(provider, "before")
    if not attached:
        provider.ok("detach")
    told(provider.node, "volume", "snapshot", provider.volume, "s1")
    write(provider, "after")
    clone = another("clone")
    told(provider.node, "volume", "clone", f"{provider.volume}@s1", clone.volume)
    assert (read(clone), read(provider)) == ("before", "after")
    write(clone, "own")
    provider.ok("detach")
    told(provider.node, "volume", "rollback", provider.volume, "s1")
    assert (read(clone), read(provider)) == ("own", "before")
    told(provider.node, "snapshot", "remove", f"{provider.volume}@s1")
    assert told(provider.node, "snapshot", "list", provider.volume) == []
    provider.ok("remove")
    assert read(clone) == "own"


def test_a_disk_begins_as_a_snapshot(provider: Provider, another: Callable[[str], Provider]) -> None:
    provider.ok("create", VOL_SIZE="8")
    write(provider, "moment")
    told(provider.node, "volume", "snapshot", provider.volume, "s1")
    clone = another("clone")
    clone.parameters["origin"] = f"snapshot:{provider.volume}@s1"
    clone.ok("verify")
    clone.ok("create", VOL_SIZE="16")
    assert read(clone) == "moment"


@pytest.mark.parametrize("attached", [True, False], ids=["attached", "detached"])
def test_a_volume_that_is_flattened_needs_no_other(
    origin: str, provider: Provider, store: Backend, attached: bool
) -> None:
    provider.parameters["origin"] = origin
    provider.ok("create", VOL_SIZE="16")
    write(provider, "mine")
    if not attached:
        provider.ok("detach")
    for _ in range(2):
        told(provider.node, "volume", "flatten", provider.volume)
    assert read(provider) == "mine"
    write(provider, "again")
    provider.ok("detach")
    assert (read(provider), told(provider.node, "volume", "info", provider.volume)["depth"]) == ("again", 0)


def test_a_rename_takes_everything_along(provider: Provider, another: Callable[[str], Provider]) -> None:
    provider.ok("create", VOL_SIZE="8")
    write(provider, "content")
    told(provider.node, "volume", "snapshot", provider.volume, "s1")
    new = another("new")
    refused = archipelago(provider.node, "volume", "rename", "--force", provider.volume, new.volume)
    assert (refused.status, refused.stderr.count("error: "), refused.stderr.count("hint: ")) == (1, 1, 1)
    provider.ok("detach")
    told(provider.node, "volume", "rename", "--force", provider.volume, new.volume)
    assert read(new) == "content"
    assert [entry["name"] for entry in told(provider.node, "snapshot", "list", new.volume)] == ["s1"]
    assert archipelago(provider.node, "volume", "list").stdout.split() == [new.volume]


def test_a_volume_with_snapshots_goes_to_the_trash_and_comes_back(
    provider: Provider, another: Callable[[str], Provider]
) -> None:
    another("nothing")  # for its end
    provider.ok("create", VOL_SIZE="8")
    write(provider, "kept")
    told(provider.node, "volume", "snapshot", provider.volume, "s1")
    provider.ok("remove")
    provider.ok("remove")
    [entry] = told(provider.node, "trash", "list")
    assert (entry["name"], entry["snapshots"]) == (provider.volume, ["s1"])
    told(provider.node, "trash", "restore", provider.volume)
    assert (read(provider), told(provider.node, "trash", "list")) == ("kept", [])
    provider.ok("remove")
    told(provider.node, "trash", "purge", "--now", provider.volume)
    assert told(provider.node, "trash", "list") == []


def test_an_image_is_made_of_a_snapshot(provider: Provider, another: Callable[[str], Provider], store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    write(provider, "installed")
    told(provider.node, "volume", "snapshot", provider.volume, "s1")
    told(provider.node, "image", "create", "installed", "--from-snapshot", f"{provider.volume}@s1")
    clone = another("clone")
    clone.parameters["origin"] = "installed"
    clone.ok("create", VOL_SIZE="8")
    assert read(clone) == "installed"
    archipelago(provider.node, "image", "remove", "installed")
    assert read(clone) == "installed"


def test_a_version_of_an_image_writes_what_changed(
    lab: Lab, provider: Provider, store: Backend, tmp_path: Path
) -> None:
    first, second = os.urandom(12 * MIB), os.urandom(4 * MIB)
    (tmp_path / "versions.raw").write_bytes(first)
    newer = lab.places.shared / "newer.raw"
    newer.write_bytes(first[: 4 * MIB] + second + bytes(4 * MIB))
    with imported(lab, "versions", tmp_path / "versions.raw"):
        synced = told(provider.node, "image", "sync", "versions", "/srv/shared/newer.raw")
        assert (synced["blocks"], synced["bytes_written"]) == (3, 4 * MIB)
        provider.parameters["origin"] = "versions"
        provider.ok("create", VOL_SIZE="16")
        device = provider.ok("attach").splitlines()[0]
        same = f"blockdev --flushbufs {device}; cmp -n {12 * MIB} {device} /srv/shared/newer.raw"
        provider.node.run(["sh", "-c", same], timeout_s=60)
        provider.ok("remove")
