# SPDX-License-Identifier: BSD-2-Clause
"""From facts about a node to findings. That the facts are found is tested in the lab, and here where files suffice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archipelago import provider
from archipelago.doctor import ceph, folder, ganeti, node
from archipelago.doctor.ceph import CephFacts, Rights
from archipelago.doctor.examination import examine
from archipelago.doctor.folder import FolderFacts, Mount
from archipelago.doctor.ganeti import GanetiFacts
from archipelago.doctor.node import NodeFacts
from archipelago.parameters import parameters_list
from ganeti_cloud.checkup import Check, State
from tests.unit.settings import SETTINGS

OK, NO, WARN, FAIL = State.OK, State.NO, State.WARN, State.FAIL

SHARED = SETTINGS._replace(user="a", pool="vms", namespace="a", image_pool="images", image_namespace="")
ALL_RIGHTS = Rights(read=True, write=True, clone_from=True)
READ_ONLY = Rights(read=True, clone_from=True)

HEALTHY = CephFacts(
    settings=SHARED,
    op_timeout_s=0.0,
    keyrings={"/etc/ceph/a.keyring": 0o600},
    fsid="695da0bc",
    volumes=ALL_RIGHTS,
    images=READ_ONLY,
    may_fence=True,
    oldest_client="mimic",
)
CAPS = "compare `ceph auth get client.a` with EXAMPLES and SEVERAL CLUSTERS IN ONE CEPH in archipelago.toml(5)"
FIRST = "are of the first format: an image or a snapshot cannot be removed while volumes are cloned from it"
MIMIC = "ceph osd set-require-min-compat-client mimic, when `ceph features` shows no older client"


def found(checks: list[Check], name: str) -> Check:
    [check] = [check for check in checks if check.name == name]
    return check


def test_a_healthy_ceph() -> None:
    assert ceph.checks(HEALTHY) == [
        Check("keyring", OK, "/etc/ceph/a.keyring is there, for its owner alone"),
        Check("cluster", OK, "client.a is connected to 695da0bc"),
        Check("volumes", OK, "client.a may do in vms/a what they need"),
        Check("images", OK, "client.a may clone from images, and another user brings them in"),
        Check("fencing", OK, "client.a may put dead clients on the blocklist"),
        Check("clones", OK, "are of the second format (oldest client allowed: mimic)"),
    ]


@pytest.mark.parametrize(
    ("facts", "check"),
    [
        pytest.param(
            HEALTHY._replace(keyrings={"/k": 0o640}),
            Check("keyring", WARN, "/k can be read by others than its owner (mode 0640)", "chmod 600 /k"),
            id="keyring",
        ),
        pytest.param(
            HEALTHY._replace(settings=SHARED._replace(user="admin")),
            Check(
                "user",
                WARN,
                "client.admin may do anything in this Ceph, and its key is on every node",
                "make a user for the provider: EXAMPLES in archipelago.toml(5)",
            ),
            id="admin",
        ),
        pytest.param(
            HEALTHY._replace(op_timeout_s=30.0),
            Check(
                "time limits",
                WARN,
                "rados_osd_op_timeout = 30 in /etc/ceph/ceph.conf: instances see I/O errors when the cluster is slower "
                "than that",
                "remove it there: the provider sets limits of its own, [limits] in archipelago.toml(5)",
            ),
            id="time limit",
        ),
        pytest.param(
            HEALTHY._replace(volumes=Rights(trouble=("the cluster has no pool 'vms'", "name one"))),
            Check("volumes", FAIL, "the cluster has no pool 'vms'", "name one"),
            id="no pool",
        ),
        pytest.param(
            HEALTHY._replace(volumes=Rights()),
            Check("volumes", FAIL, "client.a may not read from vms/a", CAPS),
            id="closed pool",
        ),
        pytest.param(
            HEALTHY._replace(volumes=READ_ONLY),
            Check("volumes", FAIL, "client.a may not write to vms/a", CAPS),
            id="read-only pool",
        ),
        pytest.param(
            HEALTHY._replace(images=ALL_RIGHTS),
            Check("images", OK, "client.a may clone from images, and bring them in"),
            id="image administrator",
        ),
        pytest.param(
            HEALTHY._replace(images=Rights(trouble=("no such", "make it"))),
            Check("images", FAIL, "no such", "make it"),
            id="no image pool",
        ),
        pytest.param(
            HEALTHY._replace(images=Rights()),
            Check("images", FAIL, "client.a may not read from images", CAPS),
            id="closed image pool",
        ),
        pytest.param(
            HEALTHY._replace(images=Rights(read=True)),
            Check("images", FAIL, "client.a may not clone from images", CAPS),
            id="no clones",
        ),
        pytest.param(
            HEALTHY._replace(may_fence=False),
            Check(
                "fencing",
                FAIL,
                "client.a may put no client on the blocklist, so what a dead node holds cannot be taken over",
                "ceph auth caps client.a mon 'profile rbd' osd ...: name all of its caps",
            ),
            id="no fencing",
        ),
        pytest.param(
            HEALTHY._replace(oldest_client="luminous"),
            Check("clones", FAIL, f"{FIRST}, and they cannot reach across namespaces", MIMIC),
            id="first format, namespace",
        ),
        pytest.param(
            HEALTHY._replace(clone_format="1", settings=SHARED._replace(namespace="")),
            Check("clones", WARN, FIRST, MIMIC),
            id="first format, configured",
        ),
        pytest.param(
            HEALTHY._replace(oldest_client="unknown", clone_format="2"),
            Check("clones", OK, "are of the second format (oldest client allowed: unknown)"),
            id="second format, configured",
        ),
    ],
)
def test_what_ails_a_ceph(facts: CephFacts, check: Check) -> None:
    assert found(ceph.checks(facts), check.name) == check


def test_without_a_connection_the_rest_is_not_guessed() -> None:
    checks = ceph.checks(HEALTHY._replace(trouble=("no monitor answered", "see `ceph -s`")))
    assert [check.name for check in checks] == ["keyring", "cluster"]
    assert checks[-1] == Check("cluster", FAIL, "no monitor answered", "see `ceph -s`")


def test_the_modes_of_keyrings(tmp_path: Path) -> None:
    for name, mode in (("a", 0o600), ("b", 0o644)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    paths = ceph._modes(f"{tmp_path}/a,{tmp_path}/none; {tmp_path}/b")
    assert paths == {f"{tmp_path}/a": 0o600, f"{tmp_path}/b": 0o644}


ABSENT = "the kernel has no module"
WAYS = NodeFacts("rados", "auto", {"krbd": f"{ABSENT} rbd", "nbd": None, "fuse": None}, None)
RBD = "apt install qemu-system-common, or load the kernel module rbd"


@pytest.mark.parametrize(
    ("facts", "checks"),
    [
        pytest.param(
            WAYS,
            [
                Check("map krbd", NO, f"{ABSENT} rbd"),
                Check("map nbd", OK, "usable"),
                Check("map fuse", OK, "usable"),
                Check("block devices", OK, "made by nbd, and by fuse where that fails"),
                Check("access=userspace", OK, "QEMU gets a URI and can do without a block device"),
            ],
            id="auto",
        ),
        pytest.param(
            WAYS._replace(ways={"fuse": "there is no /dev/fuse"}, no_uri="this Ganeti cannot carry it"),
            [
                Check("map fuse", NO, "there is no /dev/fuse"),
                Check("block devices", FAIL, "there is no way to make any", RBD),
                Check(
                    "access=userspace",
                    NO,
                    "this Ganeti cannot carry it",
                    "leave the disk parameter access out: kernelspace, its default, works",
                ),
            ],
            id="none",
        ),
    ],
)
def test_a_node(facts: NodeFacts, checks: list[Check]) -> None:
    assert node.checks(facts) == checks


@pytest.mark.parametrize(
    ("map_", "check"),
    [
        ("nbd", Check("block devices", OK, "made by nbd, as [attach] map says")),
        ("krbd", Check("block devices", FAIL, f'[attach] map is "krbd", and {ABSENT} rbd', RBD)),
    ],
)
def test_one_way_alone(map_: str, check: Check) -> None:
    assert found(node.checks(WAYS._replace(map=map_)), "block devices") == check


def test_a_node_with_the_driver_file_needs_one_way_at_most() -> None:
    facts = NodeFacts("file", "auto", {"fuse": None}, "irrelevant")
    assert node.checks(facts) == [Check("overlays", OK, "can be made block devices by qemu-storage-daemon")]
    [check] = node.checks(facts._replace(ways={"fuse": "there is no /dev/fuse"}))
    assert (check.state, check.text) == (
        WARN,
        "a folder without reflinks needs qemu-storage-daemon: there is no /dev/fuse",
    )


GANETI = GanetiFacts(True, [], parameters_list(), True, ["plain", "ext"])


@pytest.mark.parametrize(
    ("facts", "states"),
    [
        pytest.param(GANETI, [("provider", OK), ("script logs", OK), ("disk template", OK)], id="fine"),
        pytest.param(GANETI._replace(templates=None), [("provider", OK), ("script logs", OK)], id="no candidate"),
        pytest.param(GANETI._replace(installed=False), [("Ganeti", NO)], id="no Ganeti"),
        pytest.param(
            GANETI._replace(unusable_scripts=["open"], logs=False, templates=["drbd"]),
            [("provider", FAIL), ("script logs", FAIL), ("disk template", FAIL)],
            id="all wrong",
        ),
        pytest.param(
            GANETI._replace(parameters="origin x\n"),
            [("provider", FAIL), ("script logs", OK), ("disk template", OK)],
            id="parameters of another version",
        ),
    ],
)
def test_a_ganeti(facts: GanetiFacts, states: list[tuple[str, State]]) -> None:
    checks = ganeti.checks(facts)
    assert [(check.name, check.state) for check in checks] == states
    assert all(check.remedy for check in checks if check.state is FAIL)


def test_the_templates_that_are_used_stay_enabled() -> None:
    check = found(ganeti.checks(GANETI._replace(templates=["drbd", "plain"])), "disk template")
    assert check.remedy == (
        "gnt-cluster modify --enabled-disk-templates=drbd,plain,ext --ipolicy-disk-templates=drbd,plain,ext"
    )


def test_the_verbs_are_those_of_the_provider() -> None:
    assert set(ganeti.VERBS) == set(provider._VERBS)


def test_ganeti_is_looked_at(tmp_path: Path) -> None:
    nothing = ganeti.look(*[str(tmp_path / name) for name in ("ganeti", "scripts", "logs", "config.data")])
    assert nothing == GanetiFacts(False, list(ganeti.VERBS), "", False, None)
    for name in ("ganeti", "scripts", "logs"):
        (tmp_path / name).mkdir()
    for verb in ganeti.VERBS[1:]:
        (tmp_path / "scripts" / verb).touch(mode=0o755)
    (tmp_path / "scripts/create").symlink_to("gone")
    (tmp_path / "scripts/parameters.list").write_text("x y\n")
    (tmp_path / "config.data").write_text(json.dumps({"cluster": {"enabled_disk_templates": ["ext"]}}))
    seen = ganeti.look(*[str(tmp_path / name) for name in ("ganeti", "scripts", "logs", "config.data")])
    assert seen == GanetiFacts(True, ["create"], "x y\n", True, ["ext"])


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/a /srv/a nfs4 rw,hard,local_lock=none 0 0
server:/b /srv/a\\040b nfs rw,nolock 0 0
/dev/sdb1 /srv/a/deeper xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/srv/a", Mount("/srv/a", "nfs4", frozenset({"rw", "hard", "local_lock=none"}))),
        ("/srv/a/x", Mount("/srv/a", "nfs4", frozenset({"rw", "hard", "local_lock=none"}))),
        ("/srv/a/deeper/x", Mount("/srv/a/deeper", "xfs", frozenset({"rw"}))),
        ("/srv/a b", Mount("/srv/a b", "nfs", frozenset({"rw", "nolock"}))),
        ("/srv/ab", Mount("/", "ext4", frozenset({"rw"}))),
    ],
)
def test_where_a_path_is_mounted(path: str, mount: Mount) -> None:
    assert folder.mount_of(path, MOUNTS) == mount


FOLDER = FolderFacts("/srv/a", True, Mount("/srv/a", "nfs4", frozenset({"rw"})), "", reflinks=False)


@pytest.mark.parametrize(
    ("facts", "states"),
    [
        pytest.param(FOLDER, [("folder", OK), ("locks", OK), ("clones", OK), ("QEMU", OK)], id="fine"),
        pytest.param(FOLDER._replace(exists=False), [("folder", FAIL)], id="absent"),
        pytest.param(FOLDER._replace(trouble="Read-only file system"), [("folder", FAIL)], id="read-only"),
        pytest.param(
            FOLDER._replace(mount=Mount("/srv", "nfs", frozenset({"rw", "nolock"}))),
            [("folder", OK), ("locks", FAIL), ("clones", OK), ("QEMU", OK)],
            id="locks of this node alone",
        ),
        pytest.param(
            FOLDER._replace(mount=Mount("/", "ext4", frozenset())),
            [("folder", WARN), ("locks", OK), ("clones", OK), ("QEMU", OK)],
            id="not mounted",
        ),
        pytest.param(
            FOLDER._replace(qemu="QEMU 7.2.22 is not sound"),
            [("folder", OK), ("locks", OK), ("clones", OK), ("QEMU", FAIL)],
            id="unsound QEMU",
        ),
    ],
)
def test_a_folder(facts: FolderFacts, states: list[tuple[str, State]]) -> None:
    checks = folder.checks(facts)
    assert [(check.name, check.state) for check in checks] == states
    assert all(check.remedy for check in checks if check.state in (WARN, FAIL))


def test_reflinks_are_told() -> None:
    assert "has reflinks" in found(folder.checks(FOLDER._replace(reflinks=True)), "clones").text
    assert "has no reflinks" in found(folder.checks(FOLDER), "clones").text


def test_a_folder_is_looked_at_and_left_as_it_was(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    seen = folder.look(SETTINGS._replace(folder=str(shared)))
    assert (seen.exists, seen.trouble, list(shared.iterdir())) == (True, "", [])
    assert seen.mount.folder != ""
    gone = folder.look(SETTINGS._replace(folder=str(tmp_path / "gone")))
    assert (gone.exists, gone.trouble) == (False, "")


def test_a_bad_configuration_is_the_only_finding(tmp_path: Path) -> None:
    path = tmp_path / "archipelago.toml"
    path.write_text("[ceph]\npol = 'x'\n", encoding="utf-8")
    [check] = examine(str(path))
    assert (check.name, check.state, check.text) == ("configuration", FAIL, f"{path}: [ceph] pol: no such key")
    assert check.remedy == "correct the file; archipelago.toml(5) describes its keys"


def test_the_whole_examination_of_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "archipelago.toml"
    path.write_text(f'[storage]\ndriver = "file"\n[file]\nfolder = "{tmp_path}"\n', encoding="utf-8")
    checks = list(examine(str(path)))
    assert checks[0] == Check("configuration", OK, f"{path} is in order; the driver is file")
    assert {"folder", "locks", "clones", "overlays"} <= {check.name for check in checks}
