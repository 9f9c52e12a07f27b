# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator does with volumes: snapshots, clones of them, renames, and chains that grow too deep."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.lab.support import MIB, Provider, Store, archipelago, call, imported, told

pytestmark = pytest.mark.lab


@pytest.fixture
def clones(provider: Provider) -> Iterator[Callable[[str], Provider]]:
    """Makes a name for a volume of this test, and removes what is called so at its end, the newest first."""
    made: list[Provider] = []

    def name(suffix: str) -> Provider:
        made.append(Provider(provider.node, f"{provider.volume}.{suffix}"))
        return made[-1]

    yield name
    for clone in reversed(made):
        clone("remove")
    provider("remove")
    archipelago(provider.node, "trash", "purge")
    for volume in [clone.volume for clone in reversed(made)] + [provider.volume]:
        archipelago(provider.node, "trash", "purge", "--now", volume)


def fill(provider: Provider, device: str, mib: int = 1) -> str:
    """Write random data to the beginning of *device*; its SHA-256."""
    script = f"head -c {mib}M /dev/urandom > /tmp/fill; dd if=/tmp/fill of={device} bs=1M oflag=direct conv=fsync"
    provider.node.run(["sh", "-ec", script], timeout_s=120)
    return provider.node.run(["sha256sum", "/tmp/fill"], timeout_s=60).split()[0]


def begins(provider: Provider, volume: str, mib: int = 1) -> str:
    """The SHA-256 of the beginning of *volume*, as Ceph's own tool reads it."""
    script = f"rbd export --no-progress {volume} /tmp/export; head -c {mib}M /tmp/export | sha256sum; rm /tmp/export"
    return provider.node.run(["sh", "-ec", script], timeout_s=120).split()[0]


def test_a_new_volume_is_described(provider: Provider, lab: Lab) -> None:
    provider.ok("create", VOL_SIZE="8")
    provider.ok("setinfo", VOL_METADATA="originstname+inst1.lab.test")
    record = told(provider.node, "volume", "info", provider.volume)
    assert record.pop("created") == record.pop("named")
    assert record == {
        "name": provider.volume,
        "size": 8 * MIB,
        "used": 0,
        "origin": "",
        "owner": "originstname+inst1.lab.test",
        "cluster": "cluster.lab.test",
        "depth": 0,
        "snapshots": [],
        "clones": [],
        "opened_by": [],
    }
    fill(provider, provider.ok("attach").splitlines()[0])
    record = told(provider.node, "volume", "list", "--long")[0]
    address = f"{lab.spec.subnet.rpartition('.')[0]}.11"
    assert (record["used"], record["opened_by"]) == (4 * MIB, [address])
    assert archipelago(provider.node, "volume", "list").stdout.split() == [provider.volume]


def test_the_list_opens_no_volume(provider: Provider, store: Store) -> None:
    """So it lists what stands in the directory and could not be opened at all."""
    names = [f"many{number}" for number in range(1000)]
    script = "import rados, sys\nc = rados.Rados(conffile='/etc/ceph/ceph.conf')\nc.connect()\n"
    script += "keys = tuple('name_many%d' % n for n in range(1000))\nwith rados.WriteOpCtx() as w:\n"
    script += "    p = c.open_ioctx('rbd')\n    {}\n    p.operate_write_op(w, 'rbd_directory')\n"
    call(store.node, ["python3", "-c", script.format("p.set_omap(w, keys, (b'\\4\\0\\0\\0none',) * 1000)")])
    listed = told(provider.node, "volume", "list")
    call(store.node, ["python3", "-c", script.format("p.remove_omap_keys(w, keys)")])
    assert listed == sorted(names)


def test_snapshots_are_taken_listed_and_removed(provider: Provider, clone_format: str) -> None:
    provider.ok("create", VOL_SIZE="8")
    node, volume = provider.node, provider.volume
    assert archipelago(node, "volume", "snapshot", volume, "first").stdout == f"{volume}@first\n"
    second = told(node, "volume", "snapshot", volume)["snapshot"]
    again = archipelago(node, "volume", "snapshot", volume, "first")
    assert (again.status, again.stderr) == (
        1,
        f"error: volume {volume} has a snapshot 'first' already\n"
        f"hint: choose another name, or remove it first: archipelago snapshot remove {volume}@first\n",
    )
    assert [entry["name"] for entry in told(node, "snapshot", "list", volume)] == ["first", second]
    for removed in (True, False):
        assert told(node, "snapshot", "remove", f"{volume}@first")["removed"] is removed
    assert told(node, "volume", "info", volume)["snapshots"] == [second]
    told(node, "snapshot", "remove", f"{volume}@{second}")


def test_a_snapshot_of_a_volume_in_use_is_what_a_power_cut_would_leave(
    provider: Provider, clones: Callable[[str], Provider]
) -> None:
    """A writer counts up in one block and then, when that is safe, in another that is far away."""
    provider.ok("create", VOL_SIZE="64")
    device = provider.ok("attach").splitlines()[0]
    writer = (
        "import itertools, os, sys\n"
        "fd = os.open(sys.argv[1], os.O_WRONLY)\n"
        "for n in itertools.count(1):\n"
        "    for offset in (0, 48 << 20):\n"
        "        os.pwrite(fd, b'%4096d' % n, offset)\n"
        "        os.fsync(fd)\n"
    )
    provider.node.run(["systemd-run", "--unit=writer", "python3", "-c", writer, device], timeout_s=30)
    try:
        for number in range(3):
            time.sleep(0.3)
            told(provider.node, "volume", "snapshot", provider.volume, f"s{number}")
    finally:
        provider.node.run(["systemctl", "stop", "writer"], timeout_s=30)
    last = 0
    for number in range(3):
        clone = clones(f"clone{number}")
        told(provider.node, "volume", "clone", f"{provider.volume}@s{number}", clone.volume)
        script = f"rbd export --no-progress {clone.volume} /tmp/export; head -c 4096 /tmp/export; echo; "
        script += "tail -c +50331649 /tmp/export | head -c 4096; rm /tmp/export"
        near, far = (int(text) for text in call(provider.node, ["sh", "-c", script]).stdout.split())
        assert far <= near <= far + 1
        assert near > last
        last = near


def test_rollback_waits_for_nobody_and_gives_the_old_content_back(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    node, volume = provider.node, provider.volume
    device = provider.ok("attach").splitlines()[0]
    old = fill(provider, device)
    told(node, "volume", "snapshot", volume, "old")
    new = fill(provider, device)
    refused = archipelago(node, "volume", "rollback", volume, "old")
    assert refused.status == 1
    assert refused.stderr.startswith(f"error: volume {volume} is still open on ")
    assert told(node, "volume", "rollback", "--dry-run", volume, "old")["open_on"] != []
    provider.ok("detach")
    assert begins(provider, volume) == new
    for _ in range(2):
        done = archipelago(node, "volume", "rollback", volume, "old")
        assert (done.status, "restoring 100 %" in done.stderr) == (0, True)
        assert begins(provider, volume) == old
    told(node, "snapshot", "remove", f"{volume}@old")
    missing = archipelago(node, "volume", "rollback", volume, "old")
    assert missing.stderr.startswith(f"error: volume {volume} has no snapshot 'old'\n")


def test_a_clone_of_a_snapshot_shares_data_until_it_is_flattened(
    provider: Provider, clone_format: str, clones: Callable[[str], Provider], store: Store
) -> None:
    provider.ok("create", VOL_SIZE="8")
    provider.ok("setinfo", VOL_METADATA="originstname+inst1.lab.test")
    node, volume, clone = provider.node, provider.volume, clones("clone")
    content = fill(provider, provider.ok("attach").splitlines()[0])
    told(node, "volume", "snapshot", volume, "s")
    told(node, "volume", "clone", f"{volume}@s", clone.volume, "--size", "12")
    record = told(node, "volume", "info", clone.volume)
    assert (record["size"], record["used"], record["depth"], record["origin"], record["owner"], record["cluster"]) == (
        12 * MIB,
        0,
        1,
        f"snapshot:{volume}@s",
        "",
        "",
    )
    assert told(node, "snapshot", "list", volume)[0]["clones"] == [clone.volume]
    if clone_format == "1":
        refused = archipelago(node, "snapshot", "remove", f"{volume}@s")
        assert refused.stderr.startswith(
            f"error: snapshot {volume}@s is shared by volumes that were cloned from it: {clone.volume}\n"
        )
    for _ in range(2):
        told(node, "volume", "flatten", clone.volume)
    assert "parent" not in store.info(clone.volume)
    assert told(node, "volume", "info", clone.volume)["depth"] == 0
    told(node, "snapshot", "remove", f"{volume}@s")
    provider.ok("remove")
    assert begins(provider, clone.volume) == content


def test_a_clone_lives_on_without_its_snapshot(
    provider: Provider, clones: Callable[[str], Provider], store: Store
) -> None:
    provider.ok("create", VOL_SIZE="8")
    node, volume, clone = provider.node, provider.volume, clones("clone")
    content = fill(provider, provider.ok("attach").splitlines()[0])
    told(node, "volume", "snapshot", volume, "s")
    told(node, "volume", "clone", f"{volume}@s", clone.volume)
    told(node, "snapshot", "remove", f"{volume}@s")
    provider.ok("remove")
    assert told(node, "trash", "list") == []
    assert begins(provider, clone.volume) == content


def test_what_a_clone_is_refused_for(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    for arguments, error in (
        (["clone", f"{provider.volume}@none", "new"], f"there is no snapshot none of a volume {provider.volume}"),
        (["clone", provider.volume, "new"], f"'{provider.volume}' names no snapshot"),
        (["clone", "none@s", "image.new"], "there is no snapshot s of a volume none"),
        (["snapshot", "none"], "there is no volume none in rbd"),
        (["snapshot", provider.volume, "a/b"], "'a/b' cannot be the name of a snapshot"),
        (["snapshot", provider.volume, "ganeti-export"], "'ganeti-export' cannot be the name of a snapshot"),
    ):
        result = archipelago(provider.node, "volume", *arguments)
        assert (result.status, result.stderr.splitlines()[0]) == (1, f"error: {error}")


def test_a_volume_gets_another_name_with_all_that_is_kept_beside_it(
    provider: Provider, clones: Callable[[str], Provider], store: Store
) -> None:
    provider.ok("create", VOL_SIZE="8")
    node, volume, new = provider.node, provider.volume, clones("new").volume
    provider.ok("attach")
    refused = archipelago(node, "volume", "rename", volume, new)
    assert refused.stderr.startswith(f"error: volume {volume} is still open on ")
    provider.ok("detach")
    store.node.run(["rados", "-p", "rbd", "setxattr", f"rbd_id.{volume}", "remark", "kept"], timeout_s=30)
    told(node, "volume", "rename", volume, new)
    again = archipelago(node, "volume", "rename", volume, new)
    assert again.stderr.startswith(f"error: volume {new} exists already\n")
    kept = store.node.run(["rados", "-p", "rbd", "getxattr", f"rbd_id.{new}", "remark"], timeout_s=30)
    assert (kept.strip(), store.names()) == ("kept", [new])


@pytest.mark.parametrize("steps", [1, 2])
def test_a_rename_that_was_cut_short_is_completed(
    provider: Provider, clones: Callable[[str], Provider], store: Store, steps: int
) -> None:
    provider.ok("create", VOL_SIZE="8")
    volume, new = provider.volume, clones("new").volume
    script = f"rados -p rbd get rbd_id.{volume} /tmp/id && rados -p rbd put rbd_id.{new} /tmp/id"
    if steps == 2:
        identity = store.info(volume)["id"]
        script += f" && rados -p rbd rmomapkey rbd_directory name_{volume}"
        script += f" && printf '\\{len(new):o}\\0\\0\\0%s' {new} > /tmp/name"
        script += f" && rados -p rbd setomapval rbd_directory id_{identity} --input-file /tmp/name"
        script += f" && printf '\\{len(str(identity)):o}\\0\\0\\0%s' {identity} > /tmp/identity"
        script += f" && rados -p rbd setomapval rbd_directory name_{new} --input-file /tmp/identity"
    store.node.run(["sh", "-c", script], timeout_s=30)
    told(provider.node, "volume", "rename", volume, new)
    assert store.names() == [new]
    assert store.info(new)["size"] == 8 * MIB


def test_a_volume_is_removed_by_hand(provider: Provider, store: Store) -> None:
    provider.ok("create", VOL_SIZE="8")
    provider.ok("attach")
    planned = archipelago(provider.node, "volume", "remove", "--dry-run", provider.volume)
    assert planned.stdout == f"would remove volume {provider.volume} (8 MiB)\n"
    for outcome in ("removed", "absent"):
        assert told(provider.node, "volume", "remove", provider.volume)["outcome"] == outcome
    assert provider.traces() == []


class TestReuseData:
    """The disk parameter reuse_data: a volume that nobody uses becomes a disk."""

    @pytest.fixture
    def old(self, provider: Provider, clones: Callable[[str], Provider]) -> tuple[str, str]:
        """A volume of a person, and the SHA-256 of its first MiB."""
        old = clones("old")
        old.ok("create", VOL_SIZE="8")
        content = fill(old, old.ok("attach").splitlines()[0])
        old.ok("detach")
        provider.parameters["reuse_data"] = old.volume
        return old.volume, content

    def test_it_is_taken_over_and_grows(self, provider: Provider, store: Store, old: tuple[str, str]) -> None:
        provider.ok("create", VOL_SIZE="12")
        assert (store.names(), store.info(provider.volume)["size"]) == ([provider.volume], 12 * MIB)
        assert begins(provider, provider.volume) == old[1]
        record = told(provider.node, "volume", "info", provider.volume)
        assert (record["cluster"], record["named"] >= record["created"]) == ("cluster.lab.test", True)
        again = provider("create", VOL_SIZE="12")
        assert again.stderr.startswith(f"error: volume {provider.volume} exists already\n")

    def test_a_run_that_died_before_its_last_step_is_completed(
        self, provider: Provider, store: Store, old: tuple[str, str]
    ) -> None:
        script = f"rados -p rbd get rbd_id.{old[0]} /tmp/id && rados -p rbd put rbd_id.{provider.volume} /tmp/id"
        store.node.run(["sh", "-c", script], timeout_s=30)
        provider.ok("create", VOL_SIZE="8")
        assert store.names() == [provider.volume]

    def test_what_it_is_refused_for(
        self, provider: Provider, old: tuple[str, str], clones: Callable[[str], Provider]
    ) -> None:
        name = old[0]
        taken = Provider(provider.node, name)
        smaller = provider("create", VOL_SIZE="4")
        assert smaller.stderr.startswith(f"error: volume {name} is 8 MiB large and does not fit into 4 MiB\n")
        taken.ok("attach")
        assert provider("create", VOL_SIZE="8").stderr.startswith(f"error: volume {name} is still open on ")
        taken.ok("detach")
        taken.ok("setinfo", VOL_METADATA="originstname+inst1.lab.test")
        assert provider("create", VOL_SIZE="8").stderr.startswith(f"error: volume {name} is a disk of inst1.lab.test\n")
        provider.parameters["origin"] = "some-image"
        both = provider("create", VOL_SIZE="8")
        assert both.stderr.startswith("error: the disk parameters origin and reuse_data exclude each other\n")
        del provider.parameters["origin"]
        provider.parameters["reuse_data"] = "none"
        assert provider("create", VOL_SIZE="8").stderr.startswith("error: there is no volume none in rbd\n")

    def test_a_volume_that_ganeti_removed_comes_back_as_a_disk(
        self, provider: Provider, clones: Callable[[str], Provider]
    ) -> None:
        disk = clones("disk")
        disk.ok("create", VOL_SIZE="8")
        disk.ok("setinfo", VOL_METADATA="originstname+inst1.lab.test")
        content = fill(disk, disk.ok("attach").splitlines()[0])
        told(disk.node, "volume", "snapshot", disk.volume, "keep")
        disk.ok("remove")
        told(disk.node, "trash", "restore", disk.volume)
        provider.parameters["reuse_data"] = disk.volume
        provider.ok("create", VOL_SIZE="8")
        assert begins(provider, provider.volume) == content
        assert told(provider.node, "volume", "info", provider.volume)["snapshots"] == ["keep"]


def test_a_chain_that_is_too_deep_is_flattened_in_the_background(
    provider: Provider, clones: Callable[[str], Provider], configured: Callable[[str], None], store: Store
) -> None:
    configured("[volumes]\nmax_depth = 2\n")
    node = provider.node
    provider.ok("create", VOL_SIZE="8")
    content = fill(provider, provider.ok("attach").splitlines()[0])
    provider.ok("detach")
    chain = [provider.volume, *(clones(f"level{level}").volume for level in (1, 2, 3, 4))]
    for parent, child in zip(chain, chain[1:], strict=False):
        told(node, "volume", "snapshot", parent, "s")
        told(node, "volume", "clone", f"{parent}@s", child)
    assert [told(node, "volume", "info", name)["depth"] for name in chain] == [0, 1, 2, 3, 4]
    planned = told(node, "maintain", "--dry-run")
    assert planned == [{"name": name, "outcome": "would be flattened"} for name in chain[3:]]
    # What hangs on the first one is not too deep any more when that is done.
    assert told(node, "maintain") == [{"name": chain[3], "outcome": "flattened"}]
    assert told(node, "maintain") == []
    assert ["parent" in store.info(name) for name in chain] == [False, True, True, False, True]
    assert [told(node, "volume", "info", name)["depth"] for name in chain] == [0, 1, 2, 0, 1]
    assert begins(provider, chain[4]) == content


def test_flattening_that_was_cut_short_goes_on_the_next_time(
    provider: Provider, clones: Callable[[str], Provider], configured: Callable[[str], None], store: Store
) -> None:
    configured("[volumes]\nmax_depth = 1\n")
    node = provider.node
    provider.ok("create", VOL_SIZE="192")
    content = fill(provider, provider.ok("attach").splitlines()[0], 192)
    provider.ok("detach")
    first, second = clones("first").volume, clones("second").volume
    for parent, child in ((provider.volume, first), (first, second)):
        told(node, "volume", "snapshot", parent, "s")
        told(node, "volume", "clone", f"{parent}@s", child)
    argv = node.argv(["archipelago", "maintain"])
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as maintaining:
        assert maintaining.stderr is not None
        maintaining.stderr.readline()
        call(node, ["pkill", "-KILL", "-f", "archipelago maintain"])
    assert (maintaining.returncode != 0, "parent" in store.info(second)) == (True, True)
    busy = archipelago(node, "maintain")
    assert (busy.status, busy.stderr) == (0, "another node maintains this store just now\n")
    # What a minute would do: the lock of one that died ends by itself.
    store.node.run(["rados", "-p", "rbd", "rmxattr", "ganeti-cloud.flatten", "lock.maintenance"], timeout_s=30)
    assert told(node, "maintain") == [{"name": second, "outcome": "flattened"}]
    assert begins(provider, second, 192) == content


def test_the_timer_is_on_and_its_service_runs(lab: Lab) -> None:
    node = lab.node(3)
    node.run(["systemctl", "is-enabled", "archipelago-maintain.timer"], timeout_s=30)
    node.run(["systemctl", "start", "archipelago-maintain.service"], timeout_s=60)


def test_create_costs_no_opening_more_for_what_is_kept_beside_a_clone(
    lab: Lab, provider: Provider, tmp_path: Path
) -> None:
    """The depth of a clone of an image, which has none of its own, is one."""
    path = tmp_path / "depth.raw"
    path.write_bytes(os.urandom(4 * MIB))
    with imported(lab, "depth", path):
        provider.parameters["origin"] = "depth"
        provider.ok("create", VOL_SIZE="8")
        record = told(provider.node, "volume", "info", provider.volume)
        provider.ok("remove")
    assert (record["depth"], record["origin"], record["cluster"]) == (1, "depth", "cluster.lab.test")
