# SPDX-License-Identifier: BSD-2-Clause
"""What a person kept of a volume outlives its removal, which never fails for it, and can be brought back."""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from lab.lab import Lab
from tests.lab.support import MIB, SCRIPTS, Provider, Store, archipelago, call, told

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def emptied(provider: Provider) -> Iterator[None]:
    """After the test nothing of it is in the trash."""
    yield
    provider("remove")
    for entry in told(provider.node, "trash", "list"):
        archipelago(provider.node, "trash", "purge", "--now", entry["name"])


def written(provider: Provider) -> str:
    """Make the volume, attach it, write to it; the SHA-256 of its content."""
    provider.ok("create", VOL_SIZE="8")
    device = provider.ok("attach").splitlines()[0]
    script = f"head -c 8M /dev/urandom > /tmp/fill; dd if=/tmp/fill of={device} bs=1M oflag=direct conv=fsync"
    call(provider.node, ["sh", "-c", script])
    return call(provider.node, ["sha256sum", "/tmp/fill"]).stdout.split()[0]


def exported(provider: Provider, spec: str) -> str:
    """The SHA-256 of the whole image *spec*."""
    script = f"rbd export --no-progress {spec} /tmp/export; sha256sum /tmp/export; rm /tmp/export"
    return call(provider.node, ["sh", "-c", script]).stdout.split()[0]


def test_a_volume_with_snapshots_goes_to_the_trash_with_them_and_comes_back(
    provider: Provider, store: Store, clone_format: str
) -> None:
    content = written(provider)
    node, volume, clone = provider.node, provider.volume, Provider(provider.node, f"{provider.volume}.clone")
    told(node, "volume", "snapshot", volume, "s1")
    told(node, "volume", "snapshot", volume, "s2")
    told(node, "volume", "clone", f"{volume}@s2", clone.volume)
    for _ in range(2):
        provider.ok("remove")
        [entry] = told(node, "trash", "list")
        assert (entry["name"], entry["snapshots"], entry["clones"]) == (volume, ["s1", "s2"], [clone.volume])
        assert (volume in store.names(), provider.traces()) == (False, [])
    days = "$(( ($(date -d {} +%s) - $(date -d {} +%s)) / 86400 ))".format(entry["kept_until"], entry["removed"])
    assert call(node, ["sh", "-c", f"echo {days}"]).stdout == "14\n"
    assert exported(provider, clone.volume) == content
    told(node, "trash", "restore", volume)
    gone = archipelago(node, "trash", "restore", volume)
    assert gone.stderr.startswith(f"error: there is no {volume} in the trash\n")
    assert exported(provider, f"{volume}@s1") == content
    record = told(node, "volume", "info", volume)
    assert (record["owner"], record["cluster"], record["snapshots"]) == ("", "", ["s1", "s2"])
    clone.ok("remove")


def test_what_clones_share_stays_in_the_trash_until_they_are_gone(
    provider: Provider, configured: Callable[[str], None], clone_format: str
) -> None:
    configured("[trash]\nkeep_days = 0\n")
    content = written(provider)
    node, volume, clone = provider.node, provider.volume, Provider(provider.node, f"{provider.volume}.clone")
    told(node, "volume", "snapshot", volume, "s")
    told(node, "volume", "clone", f"{volume}@s", clone.volume)
    provider.ok("remove")
    for command in (["trash", "purge"], ["trash", "purge", "--now", volume], ["gc", "--dry-run"]):
        [stays] = told(node, *command)
        assert (stays["action"], stays["why"]) == (
            "stays",
            f"expired in the trash, but shared by clones: {clone.volume}",
        )
    assert told(node, "maintain") == []
    assert exported(provider, clone.volume) == content
    clone.ok("remove")
    assert told(node, "maintain") == [{"name": volume, "outcome": "removed for good"}]
    assert told(node, "trash", "list") == []


def test_a_volume_that_is_open_elsewhere_does_not_go_to_the_trash(provider: Provider, lab: Lab, store: Store) -> None:
    """Not even one that nobody has written to, and whose exclusive lock is free."""
    provider.ok("create", VOL_SIZE="8")
    told(provider.node, "volume", "snapshot", provider.volume, "s")
    elsewhere = Provider(lab.node(2), provider.volume)
    elsewhere.ok("attach")
    script = f"VOL_NAME={provider.volume} EXTP_PROVIDER=archipelago exec timeout 3 {SCRIPTS}/remove"
    assert call(provider.node, ["sh", "-c", script]).status == 124  # it waits for a holder that might be dead
    assert provider.volume in store.names()
    elsewhere.ok("detach")


def test_of_several_of_a_name_the_last_one_comes_back(provider: Provider, store: Store) -> None:
    node, volume = provider.node, provider.volume
    for size in ("8", "12"):
        provider.ok("create", VOL_SIZE=size)
        told(node, "volume", "snapshot", volume, "s")
        provider.ok("remove")
        time.sleep(1)  # the trash keeps whole seconds
    told(node, "trash", "restore", volume)
    assert store.info(volume)["size"] == 12 * MIB
    taken = archipelago(node, "trash", "restore", volume)
    assert taken.stderr.startswith(f"error: there is a volume {volume} already\n")
    planned = archipelago(node, "trash", "purge", "--now", "--dry-run", volume)
    assert planned.stdout == f"{volume} would be removed\n"
    told(node, "trash", "purge", volume)
    assert len(told(node, "trash", "list")) == 1  # it has not expired
    told(node, "trash", "purge", "--now", volume)
    assert told(node, "trash", "list") == []
    again = archipelago(node, "trash", "purge", "--now", volume)
    assert again.stderr.startswith(f"error: there is no {volume} in the trash\n")


def test_an_image_that_only_its_clones_keep_is_not_in_the_way(provider: Provider, store: Store) -> None:
    """RBD's own list of the trash fails then, with Ceph 16."""
    node, volume, clone = provider.node, provider.volume, Provider(provider.node, f"{provider.volume}.clone")
    provider.ok("create", VOL_SIZE="8")
    told(node, "volume", "snapshot", volume, "s")
    told(node, "volume", "clone", f"{volume}@s", clone.volume)
    told(node, "snapshot", "remove", f"{volume}@s")
    provider.ok("remove")
    assert store.node.run(["sh", "-c", "rados -p rbd listomapkeys rbd_trash | wc -l"], timeout_s=30) == "1\n"
    assert told(node, "trash", "list") == []
    clone.ok("remove")


@pytest.mark.parametrize("verb", ["remove", "restore", "purge"])
def test_it_can_be_killed_at_any_moment(provider: Provider, store: Store, verb: str) -> None:
    chance = random.Random(verb)
    node, volume = provider.node, provider.volume
    script = f"VOL_NAME={volume} EXTP_PROVIDER=archipelago exec {SCRIPTS}/remove"
    argv = {
        "remove": ["sh", "-c", script],
        "restore": ["archipelago", "trash", "restore", volume],
        "purge": ["archipelago", "trash", "purge", "--now", volume],
    }[verb]
    for _ in range(3):
        provider.ok("create", VOL_SIZE="8")
        told(node, "volume", "snapshot", volume, "s")
        if verb != "remove":
            provider.ok("remove")
        process = subprocess.Popen(node.argv(argv), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.1, 0.35))
        call(node, ["pkill", "-KILL", "-f", {"remove": "extstorage/archipelago/remove"}.get(verb, f"trash {verb}")])
        process.send_signal(signal.SIGKILL)
        process.wait()
        call(node, argv)
        here = volume in store.names()
        trashed = [entry["snapshots"] for entry in told(node, "trash", "list")]
        assert (here, trashed) == {
            "remove": (False, [["s"]]),
            "restore": (True, []),
            "purge": (False, []),
        }[verb]
        provider.ok("remove")
        told(node, "trash", "purge", "--now", volume) if verb != "purge" else None


def test_the_removal_of_a_volume_without_snapshots_leaves_nothing(provider: Provider, store: Store) -> None:
    content = written(provider)
    assert content != hashlib.sha256(bytes(8 * MIB)).hexdigest()
    provider.ok("remove")
    assert (store.names(), told(provider.node, "trash", "list")) == ([], [])
