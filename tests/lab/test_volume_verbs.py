# SPDX-License-Identifier: BSD-2-Clause
"""Every script of the provider does what Ganeti expects of it, once and twice."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator

import pytest

from lab.lab import Lab
from tests.lab.backends import Backend
from tests.lab.support import MIB, Provider, Store, archipelago, call, imported, told

pytestmark = pytest.mark.lab

# The suite is the contract of both drivers.
BACKENDS = ("rados", "file", "reflink")

IMAGE_MIB = 24
# What a clone takes beside data: the tables of an overlay, or of the file system.
_BESIDES = MIB // 2


@pytest.fixture(scope="module")
def image(lab: Lab, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image in the catalogue, half of it random data."""
    path = tmp_path_factory.mktemp("image") / "verbs.raw"
    path.write_bytes(os.urandom(IMAGE_MIB // 2 * MIB) + bytes(IMAGE_MIB // 2 * MIB))
    with imported(lab, "verbs", path):
        yield hashlib.sha256(path.read_bytes()).hexdigest()


def read_sha256(provider: Provider, device: str, size: int) -> str:
    script = f"blockdev --flushbufs {device}; head -c {size} {device} | sha256sum"
    return call(provider.node, ["sh", "-c", script]).stdout.split()[0]


def device_size(provider: Provider, device: str) -> int:
    return int(call(provider.node, ["blockdev", "--getsize64", device]).stdout)


def test_a_clone_has_the_images_content_and_copies_none_of_it(image: str, provider: Provider, store: Backend) -> None:
    before = store.used()
    provider.parameters["origin"] = "verbs"
    provider.ok("create", VOL_SIZE="64")
    assert store.used() - before <= _BESIDES
    assert store.shares(provider.volume)
    device = provider.ok("attach").splitlines()[0]
    assert (device_size(provider, device), read_sha256(provider, device, IMAGE_MIB * MIB)) == (64 * MIB, image)


def test_a_clone_may_have_exactly_the_size_of_its_image(image: str, provider: Provider, store: Backend) -> None:
    provider.parameters["origin"] = "verbs"
    provider.ok("create", VOL_SIZE=str(IMAGE_MIB))
    assert store.size(provider.volume) == IMAGE_MIB * MIB


def test_a_blank_volume_is_zeros(provider: Provider, store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    device = provider.ok("attach").splitlines()[0]
    assert read_sha256(provider, device, 8 * MIB) == hashlib.sha256(bytes(8 * MIB)).hexdigest()
    assert not store.shares(provider.volume)


def test_attach_twice_gives_the_same_answer(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    assert provider.ok("attach") == provider.ok("attach")


def test_attach_needs_no_store_for_a_volume_that_is_attached(provider: Provider, store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    answer = provider.ok("attach")
    answer_again = store.silent()
    try:
        assert provider.ok("attach") == answer
    finally:
        answer_again()


def test_attach_notices_that_its_daemon_died(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    first = provider.ok("attach").splitlines()[0]
    call(provider.node, ["sh", "-c", f"dd if=/dev/urandom of={first} bs=1M count=1 oflag=direct"])
    before = read_sha256(provider, first, MIB)
    provider.node.run(["pkill", "-KILL", "-f", f"[q]emu-storage-daemon.*{provider.volume}"], timeout_s=30)
    second = provider.ok("attach").splitlines()[0]
    assert read_sha256(provider, second, MIB) == before


@pytest.mark.backends("rados")
def test_attach_notices_a_changed_configuration(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    assert "kvm:rbd:" in provider.ok("attach")
    provider.parameters["pool"] = "no-such-pool"
    assert "'no-such-pool'" in provider("attach").stderr
    del provider.parameters["pool"]


def test_detach_twice(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    provider.ok("attach")
    provider.ok("detach")
    assert provider.traces() == []
    again = provider("detach")
    assert (again.status, again.stderr) == (0, f"detach: {provider.volume} is not attached here, nothing to do\n")


def test_detach_refuses_while_the_device_is_in_use(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    device = provider.ok("attach").splitlines()[0]
    # Of the type "notify", so that systemd-run returns when the holder has the device, and not before.
    holder = ["systemd-run", "--unit=holder", "--property=Type=notify", "--property=NotifyAccess=all"]
    provider.node.run([*holder, "sh", "-c", f"exec < {device}; systemd-notify --ready; sleep 100"], timeout_s=30)
    refused = provider("detach")
    provider.node.run(["systemctl", "stop", "holder"], timeout_s=30)
    assert (refused.status, refused.stderr) == (
        1,
        f"error: volume {provider.volume} is still in use as {device}\n"
        f"hint: `fuser -v {device}` shows by what; stop that and try again\n",
    )
    provider.ok("detach")


def test_grow_reaches_the_new_size_and_a_device_that_is_in_use(provider: Provider, store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    device = provider.ok("attach").splitlines()[0]
    for _ in range(2):
        provider.ok("grow", VOL_SIZE="8", VOL_NEW_SIZE="20")
        assert (store.size(provider.volume), device_size(provider, device)) == (20 * MIB, 20 * MIB)


def test_grow_of_a_volume_that_is_not_attached(provider: Provider, store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    provider.ok("grow", VOL_SIZE="8", VOL_NEW_SIZE="20")
    assert store.size(provider.volume) == 20 * MIB


def test_grow_never_shrinks(provider: Provider, store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    provider.ok("grow", VOL_SIZE="8", VOL_NEW_SIZE="4")
    assert store.size(provider.volume) == 8 * MIB


def test_remove_twice_and_while_attached(provider: Provider, store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    provider.ok("attach")
    provider.ok("remove")
    assert (provider.volume in store.names(), provider.traces()) == (False, [])
    provider.ok("remove")


def test_setinfo_keeps_the_owner_beside_the_volume(provider: Provider, store: Backend) -> None:
    provider.ok("create", VOL_SIZE="8")
    for _ in range(2):
        provider.ok("setinfo", VOL_METADATA="originstname+inst1.lab.test")
    assert store.owner(provider.volume) == "originstname+inst1.lab.test"


def test_verify_open_and_close_succeed(image: str, provider: Provider) -> None:
    provider.parameters["origin"] = "verbs"
    provider.ok("verify")
    provider.ok("create", VOL_SIZE="64")
    provider.ok("close")
    provider.ok("open", VOL_OPEN_EXCLUSIVE="False")
    provider.ok("open", VOL_OPEN_EXCLUSIVE="True")
    provider.ok("close")


def check_snapshots(provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    device = provider.ok("attach").splitlines()[0]
    write = "dd if=/dev/urandom of={} bs=1M count=1 oflag=direct"
    call(provider.node, ["sh", "-c", write.format(device)])
    moment = read_sha256(provider, device, MIB)
    copy = Provider(provider.node, f"{provider.volume}.snap")
    for _ in range(2):  # the second replaces the first, as after an export that failed
        provider.ok("snapshot", VOL_SNAPSHOT_NAME=copy.volume, VOL_SNAPSHOT_SIZE="8")
        copy.ok("attach")
    call(provider.node, ["sh", "-c", write.format(device)])
    assert read_sha256(copy, copy.ok("attach").splitlines()[0], MIB) == moment
    assert read_sha256(provider, device, MIB) != moment
    copy.ok("remove")


def test_a_snapshot_holds_the_moment_and_leaves_nothing(provider: Provider) -> None:
    check_snapshots(provider)
    provider.ok("detach")
    provider.ok("attach")


@pytest.mark.backends("rados")
def test_a_snapshot_with_clones_of_both_formats(provider: Provider, store: Store, clone_format: str) -> None:
    check_snapshots(provider)
    assert store.node.run(["rbd", "snap", "ls", "--all", provider.volume], timeout_s=30) == ""


@pytest.mark.backends("rados")
def test_a_volume_is_removed_before_the_copy_of_it(provider: Provider, store: Store, clone_format: str) -> None:
    """As when an instance is removed after an export of it failed."""
    provider.ok("create", VOL_SIZE="8")
    copy = Provider(provider.node, f"{provider.volume}.snap")
    provider.ok("snapshot", VOL_SNAPSHOT_NAME=copy.volume, VOL_SNAPSHOT_SIZE="8")
    provider.ok("remove")
    assert provider.volume not in store.names()
    device = copy.ok("attach").splitlines()[0]
    assert read_sha256(copy, device, 8 * MIB) == hashlib.sha256(bytes(8 * MIB)).hexdigest()
    # With clones of the first format RBD does not let go of the volume by itself when the copy goes.
    shared = {"1": [provider.volume], "2": []}[clone_format]
    assert [entry["name"] for entry in told(provider.node, "trash", "list")] == shared
    assert archipelago(provider.node, "trash", "purge").stdout.count(" stays: ") == len(shared)
    copy.ok("remove")
    provider.ok("remove")
    assert [entry["name"] for entry in told(provider.node, "trash", "purge")] == shared


@pytest.mark.backends("rados")
def test_clones_of_both_formats(image: str, provider: Provider, store: Store, clone_format: str) -> None:
    provider.parameters["origin"] = "verbs"
    provider.ok("create", VOL_SIZE="64")
    device = provider.ok("attach").splitlines()[0]
    assert read_sha256(provider, device, IMAGE_MIB * MIB) == image
    provider.ok("remove")


@pytest.mark.backends("rados")
def test_a_disk_in_another_pool_and_namespace(lab: Lab, image: str, store: Store) -> None:
    namespace = os.urandom(4).hex()
    for command in (
        ["ceph", "osd", "pool", "create", "ssd-vms", "8"],
        ["rbd", "pool", "init", "ssd-vms"],
        ["rbd", "namespace", "create", "--pool", "ssd-vms", "--namespace", namespace],
    ):
        store.node.run(command, timeout_s=60)
    elsewhere = {"origin": "verbs", "pool": "ssd-vms", "namespace": namespace, "user": "ganeti"}
    provider = Provider(lab.node(1), f"{os.urandom(16).hex()}.ext.disk1", elsewhere)
    provider.ok("create", VOL_SIZE="64")
    device, *_ = provider.ok("attach").splitlines()
    assert read_sha256(provider, device, IMAGE_MIB * MIB) == image
    listed = store.node.run(["rbd", "ls", f"ssd-vms/{namespace}"], timeout_s=30).split()
    assert (listed, store.names().count(provider.volume)) == ([provider.volume], 0)
    provider.ok("remove")
    assert store.node.run(["rbd", "ls", f"ssd-vms/{namespace}"], timeout_s=30) == ""


@pytest.mark.backends("rados")
def test_features_and_stripes_are_what_ceph_conf_says(provider: Provider, store: Store) -> None:
    conf = provider.node.run(["cat", "/etc/ceph/ceph.conf"], timeout_s=30)
    layout = "rbd_default_features = 3\nrbd_default_stripe_unit = 65536\nrbd_default_stripe_count = 4\n"
    provider.node.write("/etc/ceph/striped.conf", f"{conf}\n[client]\n{layout}")
    # Ceph takes the file's name for that of the cluster, which is a part of the keyring's name.
    provider.parameters.update(conf="/etc/ceph/striped.conf", keyring="/etc/ceph/ceph.client.admin.keyring")
    provider.ok("create", VOL_SIZE="16")
    info = store.info(provider.volume)
    assert (info["features"], info["stripe_unit"], info["stripe_count"]) == (["layering", "striping"], 65536, 4)
    device = provider.ok("attach").splitlines()[0]
    assert device_size(provider, device) == 16 * MIB
    provider.ok("remove")
    provider.node.run(["rm", "/etc/ceph/striped.conf"], timeout_s=30)


@pytest.mark.backends("rados")
def test_the_userspace_uri_is_given_where_ganeti_can_carry_it(lab: Lab, provider: Provider) -> None:
    provider.ok("create", VOL_SIZE="8")
    assert provider.ok("attach").splitlines()[1:] == [f"kvm:rbd:rbd/{provider.volume}"]
    provider.parameters["user"] = "ganeti"
    anything_goes = "3.0" in provider.node.run(["readlink", "-f", "/usr/share/ganeti/default"], timeout_s=30)
    uris = [f"kvm:rbd:rbd/{provider.volume}:id=ganeti"] if anything_goes else []
    assert provider.ok("attach").splitlines()[1:] == uris
