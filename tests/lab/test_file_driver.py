# SPDX-License-Identifier: BSD-2-Clause
"""What only the driver ``file`` has: overlays beside reflinks, and locks by which the nodes share a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab.lab import Lab
from tests.lab.backends import Folder
from tests.lab.support import MIB, Provider, imported
from tests.lab.test_bad_input import assert_refused

pytestmark = pytest.mark.lab

BACKENDS = ("file", "reflink")

overlays = pytest.mark.backends("file")


@pytest.fixture(scope="module")
def origin(lab: Lab, backend: Folder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("image") / "shared.raw"
    path.write_bytes(os.urandom(8 * MIB))
    with imported(lab, "shared", path):
        yield "shared"


@pytest.fixture
def second(lab: Lab, provider: Provider) -> Iterator[Provider]:
    """The same volume on node 2, which is left without a trace of it."""
    provider.ok("create", VOL_SIZE="16")
    second = Provider(lab.node(2), provider.volume, provider.parameters)
    yield second
    provider.ok("detach")  # the loop devices of one machine show on all its nodes
    second.ok("detach")
    assert second.traces() == []


def write(provider: Provider, text: str) -> None:
    """Put *text* into the first block of the volume, through its device on the provider's node."""
    device = provider.ok("attach").splitlines()[0]
    script = f"printf '%-4096s' '{text}' | dd of={device} bs=4096 count=1 oflag=direct iflag=fullblock status=none"
    provider.node.run(["sh", "-c", script], timeout_s=30)


def read(provider: Provider) -> str:
    """What :func:`write` has put there last."""
    device = provider.ok("attach").splitlines()[0]
    script = f"dd if={device} bs=4096 count=1 iflag=direct status=none"
    return provider.node.run(["sh", "-c", script], timeout_s=30).strip()


def test_two_nodes_have_a_whole_volume_attached_and_see_each_others_writes(
    provider: Provider, second: Provider
) -> None:
    for mine, other in ((provider, second), (second, provider)):
        write(mine, f"by {mine.node.name}")
        assert read(other) == f"by {mine.node.name}"


def test_open_exclusively_is_refused_while_a_living_node_has_it_open(provider: Provider, second: Provider) -> None:
    provider.ok("attach")
    second.ok("attach")
    provider.ok("open", VOL_OPEN_EXCLUSIVE="True")
    for wanted in ("True", "False"):
        assert_refused(
            second("open", VOL_OPEN_EXCLUSIVE=wanted),
            f"error: volume {provider.volume} is open on node1.lab.test",
            "hint: stop the instance there, or run `gnt-instance deactivate-disks` for it; …",
        )
    provider.ok("close")
    second.ok("open", VOL_OPEN_EXCLUSIVE="True")


def test_both_nodes_of_a_live_migration_have_it_open(provider: Provider, second: Provider) -> None:
    """The calls of Ganeti, in their order."""
    provider.ok("attach")
    provider.ok("open", VOL_OPEN_EXCLUSIVE="True")
    second.ok("attach")
    second.ok("close")
    provider.ok("open", VOL_OPEN_EXCLUSIVE="False")
    second.ok("open", VOL_OPEN_EXCLUSIVE="False")
    provider.ok("close")
    second.ok("open", VOL_OPEN_EXCLUSIVE="True")
    provider.ok("detach")


def test_an_opening_of_a_dead_daemon_is_taken_over(provider: Provider, second: Provider) -> None:
    provider.ok("attach")
    provider.ok("open", VOL_OPEN_EXCLUSIVE="True")
    provider.node.run(["pkill", "-KILL", "-f", f"[q]emu-storage-daemon.*{provider.volume}"], timeout_s=30)
    second.ok("attach")
    second.ok("open", VOL_OPEN_EXCLUSIVE="True")
    assert_refused(
        provider("remove"),
        f"error: volume {provider.volume} is still attached on node2.lab.test",
        "hint: stop the instance there, or run `gnt-instance deactivate-disks` for it, and try again",
    )


@overlays
def test_an_overlay_is_on_one_node_at_a_time(lab: Lab, origin: str, provider: Provider) -> None:
    provider.parameters["origin"] = origin
    provider.ok("create", VOL_SIZE="16")
    second = Provider(lab.node(2), provider.volume, provider.parameters)
    provider.ok("attach")
    assert_refused(
        second("attach"),
        f"error: volume {provider.volume} is an overlay, attached on node1.lab.test; one can be on one node at a time",
        "hint: use `gnt-instance failover`; or stop the instance, and `gnt-instance deactivate-disks` and "
        f"`archipelago volume flatten {provider.volume}` make the volume fit for live migration",
    )
    provider.ok("detach")
    second.ok("attach")
    second.ok("detach")


@overlays
def test_an_overlay_that_is_attached_grows_on_its_node_alone(lab: Lab, origin: str, provider: Provider) -> None:
    provider.parameters["origin"] = origin
    provider.ok("create", VOL_SIZE="16")
    second = Provider(lab.node(2), provider.volume, provider.parameters)
    provider.ok("attach")
    assert_refused(
        second("grow", VOL_NEW_SIZE="32"),
        f"error: volume {provider.volume} is an overlay and attached on node1.lab.test: it can be grown there alone",
        "hint: run `gnt-instance grow-disk`, which does so on the primary node of the instance",
    )
    provider.ok("grow", VOL_NEW_SIZE="32")


def test_a_pool_without_its_folder(provider: Provider) -> None:
    """As where the shared file system is not mounted: nothing is made on the disk below."""
    provider.parameters["pool"] = "elsewhere"
    assert_refused(
        provider("create", VOL_SIZE="8"),
        "error: there is no folder /srv/archipelago/elsewhere",
        "hint: mount the shared folder there; for a new pool make that folder, once, with mode 0700",
    )
    del provider.parameters["pool"]


def test_a_volume_that_exists_and_one_that_does_not(provider: Provider, backend: Folder) -> None:
    for verb in ("attach", "grow", "setinfo", "snapshot"):
        env = {"VOL_NEW_SIZE": "64", "VOL_METADATA": "x", "VOL_SNAPSHOT_NAME": f"{provider.volume}.snap"}
        assert_refused(
            provider(verb, **env),
            f"error: there is no volume {provider.volume} in {backend.path}",
            "hint: `archipelago volume list` lists what there is; see archipelago.toml(5) for where it is looked for",
        )
    provider.ok("create", VOL_SIZE="8")
    assert_refused(
        provider("create", VOL_SIZE="8"),
        f"error: volume {provider.volume} exists already",
        "hint: if nobody needs its content, run `gnt-instance deactivate-disks` for its instance and "
        f"`archipelago volume remove --force {provider.volume}`, and try again",
    )


@overlays
def test_a_file_system_that_is_full(provider: Provider) -> None:
    node, tiny = provider.node, "/srv/archipelago/tiny"
    fill = f"head -c 2M /dev/zero > {tiny}/filler; test $(stat -c %s {tiny}/filler) -lt 2097152"
    node.run(["mkdir", "-p", tiny], timeout_s=30)
    node.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", tiny], timeout_s=30)
    try:
        provider.parameters["pool"] = "tiny"
        provider.ok("create", VOL_SIZE="8")
        provider.ok("remove")
        node.run(["sh", "-c", fill], timeout_s=30)
        assert_refused(
            provider("create", VOL_SIZE="8"),
            "error: the file system of /srv/archipelago is full",
            "hint: make room; `df -h /srv/archipelago` shows how much there is",
        )
        left = node.run(["find", tiny, "-type", "f", "-not", "-path", "*/locks/*"], timeout_s=30)
        assert left.split() == [f"{tiny}/filler"]
    finally:
        del provider.parameters["pool"]
        node.run(["umount", tiny], timeout_s=30)
        node.run(["rmdir", tiny], timeout_s=30)
