# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator or a broken cluster can do wrong: one error line, one hint line, soon, and nothing left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from archipelago.parameters import DISK_PARAMETERS
from lab.lab import Lab
from lab.node import Node
from tests.lab.support import MIB, Provider, Result, Store, imported

pytestmark = pytest.mark.lab

LIMIT_S = 15
CONFIG = "/etc/ganeti-cloud/archipelago.toml"


@pytest.fixture(scope="module")
def origin(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("image") / "bad.raw"
    path.write_bytes(os.urandom(12 * MIB))
    with imported(lab, "bad", path):
        yield "bad"


@contextmanager
def config(node: Node, text: str) -> Iterator[None]:
    """The configuration of *node* is *text* for a while."""
    node.write(CONFIG, text)
    try:
        yield
    finally:
        node.run(["rm", "-f", CONFIG], timeout_s=30)


def assert_refused(result: Result, *lines: str) -> None:
    """One error line and one hint line, in time. A line that ends in … is compared up to there."""
    said = result.stderr.splitlines()
    assert (result.status != 0, result.stdout, len(said)) == (True, "", 2), result
    for found, wanted in zip(said, lines, strict=True):
        assert found == wanted or (wanted.endswith("…") and found.startswith(wanted[:-1])), said
    assert result.seconds < LIMIT_S


def test_an_unknown_parameter(provider: Provider, store: Store) -> None:
    provider.parameters |= {"orgin": "bad"}
    assert_refused(
        provider("create", VOL_SIZE="64"),
        "error: unknown disk parameter 'orgin'",
        f"hint: the parameters of this provider are {', '.join(DISK_PARAMETERS)}",
    )
    assert provider.volume not in store.names()


def test_an_unknown_origin(provider: Provider, store: Store) -> None:
    provider.parameters["origin"] = "no-such-image"
    for verb in ("create", "verify"):
        assert_refused(
            provider(verb, VOL_SIZE="64"),
            "error: there is no image 'no-such-image'",
            "hint: `archipelago image list` shows what there is; `archipelago image import` brings one in",
        )
    assert provider.volume not in store.names()


def test_an_origin_that_is_no_name(provider: Provider) -> None:
    provider.parameters["origin"] = "../bad"
    assert_refused(
        provider("create", VOL_SIZE="64"),
        "error: '../bad' cannot be the name of an image",
        "hint: use small letters, digits, '.' and '-', with a letter or digit first, at most 96 in all",
    )


def test_a_disk_smaller_than_its_origin(provider: Provider, origin: str, store: Store) -> None:
    provider.parameters["origin"] = origin
    assert_refused(
        provider("create", VOL_SIZE="11"),
        "error: image bad is 12 MiB large and does not fit into a disk of 11 MiB",
        "hint: give the disk size=12M or more",
    )
    assert provider.volume not in store.names()


def test_a_volume_that_exists(provider: Provider, origin: str) -> None:
    provider.parameters["origin"] = origin
    provider.ok("create", VOL_SIZE="64")
    assert_refused(
        provider("create", VOL_SIZE="64"),
        f"error: volume {provider.volume} exists already",
        "hint: if nobody needs its content, run `gnt-instance deactivate-disks` for its instance and "
        f"`archipelago volume remove --force {provider.volume}`, and try again",
    )
    provider.ok("attach")


@pytest.mark.parametrize("verb", ["attach", "grow", "setinfo", "snapshot"])
def test_a_volume_that_is_not_there(provider: Provider, verb: str) -> None:
    env = {"VOL_NEW_SIZE": "64", "VOL_METADATA": "x", "VOL_SNAPSHOT_NAME": f"{provider.volume}.snap"}
    assert_refused(
        provider(verb, **env),
        f"error: there is no volume {provider.volume} in rbd",
        "hint: `archipelago volume list` lists what there is; see archipelago.toml(5) for where it is looked for",
    )


def test_a_wrong_configuration_names_all_its_faults(provider: Provider) -> None:
    with config(provider.node, '[ceph]\nuser = ""\nfarm = 1\n[limits]\nconnect_s = "soon"\n'):
        assert_refused(
            provider("create", VOL_SIZE="64"),
            f"error: {CONFIG}: [ceph] user: '' is not a name of letters, digits, '_', '.' and '-', "
            "with a letter or digit first; "
            "[ceph] farm: no such key; [limits] connect_s: 'soon' is not a whole number of seconds from 1 to 60",
            "hint: …",
        )


def test_a_configuration_that_is_no_toml(provider: Provider) -> None:
    with config(provider.node, "[ceph\n"):
        assert_refused(provider("create", VOL_SIZE="64"), f"error: {CONFIG}: …", "hint: …")


def test_no_ceph_configuration(provider: Provider) -> None:
    with config(provider.node, '[ceph]\nconf = "/etc/ceph/none.conf"\n'):
        for verb in ("create", "remove"):
            assert_refused(
                provider(verb, VOL_SIZE="64"),
                "error: /etc/ceph/none.conf: not a usable Ceph configuration …",
                "hint: copy ceph.conf from a monitor, or name another file as [ceph] conf",
            )


def test_no_keyring(provider: Provider) -> None:
    with config(provider.node, '[ceph]\nuser = "stranger"\n'):
        assert_refused(
            provider("create", VOL_SIZE="64"),
            "error: no keyring for client.stranger: none of …",
            "hint: fetch it with `ceph auth get client.stranger -o /etc/ceph/ceph.client.stranger.keyring`; …",
        )


def test_a_key_that_the_cluster_does_not_know(provider: Provider) -> None:
    keyring = provider.node.run(["cat", "/etc/ceph/ceph.client.ganeti.keyring"], timeout_s=30)
    provider.node.write("/etc/ceph/ceph.client.stranger.keyring", keyring.replace("ganeti", "stranger"), mode="0600")
    with config(provider.node, '[ceph]\nuser = "stranger"\n'):
        assert_refused(
            provider("create", VOL_SIZE="64"),
            "error: the cluster refuses client.stranger: …",
            "hint: compare with `ceph auth get client.stranger`",
        )
    provider.node.run(["rm", "/etc/ceph/ceph.client.stranger.keyring"], timeout_s=30)


def test_no_such_pool(provider: Provider) -> None:
    provider.parameters["pool"] = "lake"
    assert_refused(provider("create", VOL_SIZE="64"), "error: the cluster has no pool 'lake'", "hint: …")


@pytest.mark.parametrize("verb", ["create", "attach", "remove", "grow", "setinfo"])
def test_a_cluster_that_cannot_be_reached(lab: Lab, provider: Provider, verb: str) -> None:
    nobody = str(lab.network.subnet.network.broadcast_address - 1)
    conf = provider.node.run(["cat", "/etc/ceph/ceph.conf"], timeout_s=30)
    elsewhere = conf.replace(lab.node("store").address, nobody)
    assert elsewhere != conf
    provider.node.write("/etc/ceph/ceph.conf", elsewhere)
    try:
        result = provider(verb, VOL_SIZE="64", VOL_NEW_SIZE="128", VOL_METADATA="x")
    finally:
        provider.node.write("/etc/ceph/ceph.conf", conf)
    assert_refused(
        result,
        "error: no monitor of the Ceph cluster answered within 8 s (mon_host in /etc/ceph/ceph.conf)",
        "hint: see whether `ceph -s` answers on this node, and whether the monitors' port is reachable",
    )


@pytest.mark.parametrize("verb", ["create", "attach", "remove", "grow", "setinfo"])
def test_storage_that_does_not_answer(provider: Provider, store: Store, origin: str, verb: str) -> None:
    """The monitor lives and the OSD hangs: the hardest case, because librados waits for ever by itself."""
    provider.parameters["origin"] = origin
    if verb != "create":
        provider.ok("create", VOL_SIZE="64")
    store.node.run(["systemctl", "kill", "--signal=STOP", "lab-ceph-osd0"], timeout_s=30)
    try:
        result = provider(verb, VOL_SIZE="64", VOL_NEW_SIZE="128", VOL_METADATA="x")
    finally:
        store.node.run(["systemctl", "kill", "--signal=CONT", "lab-ceph-osd0"], timeout_s=30)
    assert_refused(result, "error: the Ceph cluster did not answer within 10 s …", "hint: …")


def test_a_full_pool_takes_nothing_and_can_be_emptied(provider: Provider, store: Store, origin: str) -> None:
    provider.parameters["origin"] = origin
    victim = Provider(provider.node, f"{os.urandom(16).hex()}.ext.disk1", dict(provider.parameters))
    victim.ok("create", VOL_SIZE="64")
    ratios = {"full": "0.95", "backfillfull": "0.90", "nearfull": "0.85"}
    try:
        for number, kind in enumerate(reversed(ratios)):
            store.node.run(["ceph", "osd", f"set-{kind}-ratio", f"0.000{number + 1}"], timeout_s=30)
        store.wait_for_flag("full", there=True)
        assert_refused(
            provider("create", VOL_SIZE="64"),
            "error: pool 'rbd' is full",
            "hint: make room or raise the pool's quota: see `ceph df` and `ceph health detail`",
        )
        victim.ok("remove")
    finally:
        for kind, ratio in ratios.items():
            store.node.run(["ceph", "osd", f"set-{kind}-ratio", ratio], timeout_s=30)
        store.wait_for_flag("full", there=False)
