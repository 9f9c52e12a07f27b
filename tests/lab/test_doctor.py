# SPDX-License-Identifier: BSD-2-Clause
"""What ``archipelago doctor`` finds on a healthy node, and on one where a single thing is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from lab.lab import Lab
from lab.node import Node
from lab.spec import Release
from tests.lab.support import SCRIPTS, Store, call

pytestmark = pytest.mark.lab

TOML = "/etc/ganeti-cloud/archipelago.toml"
KEYRING = "/etc/ganeti-cloud/doctor.keyring"
NO_FENCING = "may put no client on the blocklist, so what a dead node holds cannot be taken over"
AS_GANETI = '[ceph]\nuser = "ganeti"\n'


@contextmanager
def configured(node: Node, text: str) -> Iterator[None]:
    node.write(TOML, text)
    try:
        yield
    finally:
        node.run(["rm", TOML], timeout_s=30)


def findings(node: Node, *, status: int) -> Mapping[str, tuple[str, str, str]]:
    """State, text and remedy by name; the program must have ended with *status*."""
    done = call(node, ["archipelago", "doctor", "--json"])
    assert (done.status, done.stderr) == (status, "")
    return {entry["name"]: (entry["state"], entry["text"], entry["remedy"]) for entry in json.loads(done.stdout)}


def test_a_healthy_node(lab: Lab, store: Store) -> None:
    node = lab.node(1)
    with configured(node, AS_GANETI):
        found = findings(node, status=0)
        printed = node.run(["archipelago", "doctor"], timeout_s=60)
    uri = "OK" if lab.spec.release is Release.BOOKWORM else "NO"  # Ganeti 3.1 carries no user
    assert {name: state for name, (state, _, _) in found.items()} == {
        **dict.fromkeys(("configuration", "provider", "script logs", "disk template", "keyring"), "OK"),
        **dict.fromkeys(("cluster", "volumes", "images", "fencing", "clones", "block devices"), "OK"),
        **{"map krbd": "NO", "map nbd": "NO", "map fuse": "OK", "access=userspace": uri},
    }
    assert f"OK    configuration: {TOML} is in order; the driver is rados\n" in printed
    assert "NO    map krbd: the kernel has no module rbd\n" in printed
    assert "OK    block devices: made by fuse\n" in printed


@pytest.fixture(scope="module")
def place(lab: Lab) -> Iterator[Node]:
    """A pool for users that may too little."""
    store = lab.node("store")
    store.run(["ceph", "osd", "pool", "create", "ward", "8"], timeout_s=60)
    store.run(["rbd", "pool", "init", "ward"], timeout_s=60)
    yield store
    store.run(["ceph", "osd", "pool", "delete", "ward", "ward", "--yes-i-really-really-mean-it"], timeout_s=60)


@pytest.mark.parametrize(
    ("caps", "more", "failing"),
    [
        pytest.param(["mon", "profile rbd", "osd", "profile rbd pool=ward"], "", {}, id="enough"),
        pytest.param(
            ["mon", "allow r", "osd", "profile rbd pool=ward"],
            "",
            {"fencing": f"client.patient {NO_FENCING}"},
            id="no fencing",
        ),
        pytest.param(
            ["mon", "profile rbd", "osd", "profile rbd-read-only pool=ward"],
            "",
            {"volumes": "client.patient may not write to ward"},
            id="read-only",
        ),
        pytest.param(
            ["mon", "profile rbd", "osd", "allow rw pool=ward"],
            "",
            {"volumes": "client.patient may not read from ward", "images": "client.patient may not read from ward"},
            id="no classes",
        ),
        pytest.param(
            ["mon", "profile rbd", "osd", "profile rbd pool=ward"],
            '[images]\npool = "rbd"\n',
            {"images": "client.patient may not read from rbd"},
            id="images closed",
        ),
        pytest.param(
            ["mon", "profile rbd", "osd", "profile rbd pool=ward, allow r class-read pool=rbd"],
            '[images]\npool = "rbd"\n',
            {"images": "client.patient may not clone from rbd"},
            id="images not to be cloned",
        ),
        pytest.param(
            ["mon", "profile rbd", "osd", "profile rbd pool=ward"],
            '[images]\npool = "none"\n',
            {"images": "the cluster has no pool 'none'"},
            id="no image pool",
        ),
        pytest.param(
            ["mon", "profile rbd", "osd", "profile rbd pool=ward namespace=own"],
            "",
            {"volumes": "client.patient may not read from ward", "images": "client.patient may not read from ward"},
            id="a namespace alone",
        ),
    ],
)
def test_what_a_user_may_is_found_out_without_doing_it(
    lab: Lab, place: Node, caps: list[str], more: str, failing: dict[str, str]
) -> None:
    node = lab.node(2)
    node.write(
        KEYRING, place.run(["ceph", "auth", "get-or-create", "client.patient", *caps], timeout_s=60), mode="0644"
    )
    before = place.run(["rados", "-p", "ward", "ls"], timeout_s=60)
    try:
        with configured(node, f'[ceph]\nuser = "patient"\nkeyring = "{KEYRING}"\npool = "ward"\n{more}'):
            found = findings(node, status=1 if failing else 0)
    finally:
        node.run(["rm", KEYRING], timeout_s=30)
        place.run(["ceph", "auth", "rm", "client.patient"], timeout_s=60)
    assert {name: text for name, (state, text, _) in found.items() if state == "FAIL"} == failing
    warning = ("WARN", f"{KEYRING} can be read by others than its owner (mode 0644)", f"chmod 600 {KEYRING}")
    assert found["keyring"] == warning
    assert place.run(["rados", "-p", "ward", "ls"], timeout_s=60) == before
    assert "nobody" not in place.run(["ceph", "osd", "blocklist", "ls"], timeout_s=60)


def test_without_a_keyring(lab: Lab) -> None:
    node = lab.node(2)
    with configured(node, '[ceph]\nuser = "stranger"\nkeyring = "/etc/none"\n'):
        state, text, remedy = findings(node, status=1)["cluster"]
    assert (state, text) == ("FAIL", "no keyring for client.stranger: none of /etc/none can be read")
    assert remedy.startswith("fetch it with `ceph auth get client.stranger -o /etc/none`")


def test_a_time_limit_in_ceph_conf_and_the_first_format_of_clones(lab: Lab) -> None:
    node = lab.node(2)
    conf = node.run(["cat", "/etc/ceph/ceph.conf"], timeout_s=30)
    node.write("/etc/ceph/ill.conf", f"{conf}\nrados_osd_op_timeout = 30\nrbd_default_clone_format = 1\n")
    # The name of the file is that of the cluster to Ceph, and would be part of the keyring's.
    keyring = 'keyring = "/etc/ceph/ceph.client.ganeti.keyring"\n'
    with configured(node, AS_GANETI + keyring + 'conf = "/etc/ceph/ill.conf"\n'):
        found = findings(node, status=0)
    node.run(["rm", "/etc/ceph/ill.conf"], timeout_s=30)
    state, text, _ = found["time limits"]
    assert state == "WARN"
    assert text.startswith("rados_osd_op_timeout = 30 in /etc/ceph/ill.conf: instances see I/O errors when ")
    assert found["clones"][0] == "WARN"


def test_a_way_of_making_block_devices_that_the_node_lacks(lab: Lab) -> None:
    node = lab.node(2)
    with configured(node, AS_GANETI + '[attach]\nmap = "krbd"\n'):
        found = findings(node, status=1)
    assert found["block devices"][:2] == ("FAIL", '[attach] map is "krbd", and the kernel has no module rbd')


def test_an_installation_with_holes(lab: Lab) -> None:
    node = lab.node(2)
    holes = [f"{SCRIPTS}/create", "/var/log/ganeti/extstorage"]
    try:
        for hole in holes:
            node.run(["mv", hole, f"{hole}.away"], timeout_s=30)
        found = findings(node, status=1)
    finally:
        for hole in holes:
            call(node, ["mv", f"{hole}.away", hole])
    assert {name for name, (state, _, _) in found.items() if state == "FAIL"} == {"provider", "script logs"}


def test_a_cluster_that_does_not_answer(lab: Lab, store: Store) -> None:
    node = lab.node(2)
    store.node.run(["systemctl", "kill", "--signal=STOP", "lab-ceph-mon"], timeout_s=30)
    try:
        with configured(node, AS_GANETI + "[limits]\nconnect_s = 2\n"):
            found = findings(node, status=1)
    finally:
        store.node.run(["systemctl", "kill", "--signal=CONT", "lab-ceph-mon"], timeout_s=30)
    assert found["cluster"][:2] == (
        "FAIL",
        "no monitor of the Ceph cluster answered within 2 s (mon_host in /etc/ceph/ceph.conf)",
    )
    assert found["block devices"][0] == "OK"


def test_the_folder_of_the_driver_file(lab: Lab) -> None:
    node = lab.node(2)
    with configured(node, '[storage]\ndriver = "file"\n[file]\nfolder = "/srv/nowhere"\n'):
        assert findings(node, status=1)["folder"][:2] == ("FAIL", "there is no folder /srv/nowhere")
    with configured(node, '[storage]\ndriver = "file"\n[file]\nfolder = "/srv/shared"\n'):
        before = node.run(["ls", "-A", "/srv/shared"], timeout_s=30)
        sound = lab.spec.release is not Release.BOOKWORM  # whose QEMU is not fit for it
        found = findings(node, status=0 if sound else 1)
        assert (found["QEMU"][0] == "OK") is sound
        assert node.run(["ls", "-A", "/srv/shared"], timeout_s=30) == before
    assert {name: found[name][0] for name in ("folder", "locks", "clones", "overlays")} == dict.fromkeys(
        ("folder", "locks", "clones", "overlays"), "OK"
    )
