# SPDX-License-Identifier: BSD-2-Clause
"""Several Ganeti clusters in one Ceph, set up with the very commands of archipelago.toml(5).

Node 1 stands for one Ganeti cluster, node 2 for another, node 3 is where the images are looked after. Each has its own
key, in a file where Ceph itself does not look for one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.node import Node
from tests.lab.support import MIB, Provider, Result, Store, call
from tests.unit import manual

pytestmark = pytest.mark.lab

TOML = "/etc/ganeti-cloud/archipelago.toml"
KEYRING = "/etc/ganeti-cloud/ceph.keyring"
IMAGE = os.urandom(4 * MIB)
SHA256 = hashlib.sha256(IMAGE).hexdigest()


def documented(user: str) -> list[list[str]]:
    """The commands of the manual page for *user*, each as its words: what comes before the user is made, and that."""
    page = manual.read("archipelago.toml.5")
    lines = [*page["SEVERAL CLUSTERS IN ONE CEPH"].lines, *page["Namespaces instead of pools"].lines]
    commands: list[list[str]] = []
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if not line.startswith(("ceph osd ", "rbd pool ", "rbd namespace ", "ceph auth get-or-create ")):
            continue
        commands.append(shlex.split(line))
        if commands[-1][1] == "auth":
            if f"client.{user}" in commands[-1]:
                return commands
            commands = []
    raise AssertionError(f"the page makes no client.{user}")


def key_of(store: Node, user: str) -> str:
    return store.run(["ceph", "auth", "get", f"client.{user}"], timeout_s=30)


@dataclass(frozen=True)
class Tenant:
    """A Ganeti cluster among others: one of its nodes, its user, and where its volumes are."""

    node: Node
    user: str
    pool: str
    namespace: str

    @property
    def place(self) -> str:
        return "/".join(part for part in (self.pool, self.namespace) if part)

    @property
    def parameters(self) -> dict[str, str]:
        """The disk parameters by which somebody else would name this place."""
        return {"pool": self.pool, "namespace": self.namespace} if self.namespace else {"pool": self.pool}

    def provider(self, **parameters: str) -> Provider:
        return Provider(self.node, f"{os.urandom(16).hex()}.ext.disk0", dict(parameters))

    def rbd(self, *words: str) -> Result:
        """Ceph's own program, run by this user."""
        return call(self.node, ["rbd", "--id", self.user, "--keyring", KEYRING, *words])

    def rados(self, place: Tenant, *words: str) -> Result:
        """The plainest way to the objects of *place*, by this user."""
        return call(
            self.node,
            ["rados", "--id", self.user, "--keyring", KEYRING, "-p", place.pool, "-N", place.namespace, *words],
        )


def settle(store: Node, tenant: Tenant, like: str, commands: list[list[str]]) -> None:
    """Make *tenant* with the *commands* for the user *like*: with its own name in place of that."""
    changes = [(f"vms-{like}", f"vms-{tenant.user}"), (f"vms/{like}", f"vms/{tenant.user}")]
    changes += [(f"namespace={like}", f"namespace={tenant.user}"), (f"client.{like}", f"client.{tenant.user}")]
    for command in commands:
        words = []
        for word in command:
            for old, new in changes:
                word = word.replace(old, new)
            words.append(word)
        store.run(words, timeout_s=60)
    config = f'[ceph]\nuser = "{tenant.user}"\nkeyring = "{KEYRING}"\npool = "{tenant.pool}"\n'
    config += f'namespace = "{tenant.namespace}"\n[images]\npool = "images"\n'
    tenant.node.write(TOML, config)
    tenant.node.write(KEYRING, key_of(store, tenant.user), mode="0600")


@pytest.fixture(scope="module")
def images(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The node where the images are looked after, which has brought one in."""
    admin, store = lab.node(3), lab.node("store")
    for command in documented("images"):
        store.run(command, timeout_s=60)
    admin.write(TOML, '[ceph]\nuser = "images"\npool = "images"\n')
    admin.write("/etc/ceph/ceph.client.images.keyring", key_of(store, "images"), mode="0600")
    path = tmp_path_factory.mktemp("image") / "shared.raw"
    path.write_bytes(IMAGE)
    admin.run(["archipelago", "image", "import", "shared", Store(lab).put(path)], timeout_s=120)
    yield admin
    admin.run(["archipelago", "image", "remove", "shared"], timeout_s=60)
    left = store.run(["rbd", "ls", "images"], timeout_s=30)
    admin.run(["rm", TOML, "/etc/ceph/ceph.client.images.keyring"], timeout_s=30)
    forget(store, "images", "images")
    assert left == ""


def forget(store: Node, pool: str, *users: str) -> None:
    store.run(["ceph", "osd", "pool", "delete", pool, pool, "--yes-i-really-really-mean-it"], timeout_s=60)
    for user in users:
        store.run(["ceph", "auth", "rm", f"client.{user}"], timeout_s=60)


@pytest.fixture(scope="module", params=["pools", "namespaces"])
def tenants(lab: Lab, images: Node, request: pytest.FixtureRequest) -> Iterator[tuple[Tenant, Tenant]]:
    """Two clusters, each with a pool of its own, or with a namespace of its own in one pool."""
    store = lab.node("store")
    if request.param == "pools":
        like, pair = "a", (Tenant(lab.node(1), "a", "vms-a", ""), Tenant(lab.node(2), "c", "vms-c", ""))
    else:
        like, pair = "b", (Tenant(lab.node(1), "b", "vms", "b"), Tenant(lab.node(2), "d", "vms", "d"))
    for tenant in pair:
        settle(store, tenant, like, documented(like))
    yield pair
    left = [store.run(["rbd", "ls", tenant.place], timeout_s=30) for tenant in pair]
    for tenant in pair:
        tenant.node.run(["rm", TOML, KEYRING], timeout_s=30)
    for pool in {tenant.pool for tenant in pair}:
        forget(store, pool)
    for tenant in pair:
        store.run(["ceph", "auth", "rm", f"client.{tenant.user}"], timeout_s=60)
    assert left == ["", ""]


@pytest.fixture
def volumes(tenants: tuple[Tenant, Tenant]) -> Iterator[tuple[Provider, Provider]]:
    """A volume of each cluster, both cloned from the one image."""
    pair = (tenants[0].provider(origin="shared"), tenants[1].provider(origin="shared"))
    for provider in pair:
        provider.ok("create", VOL_SIZE="8")
    yield pair
    for provider in pair:
        provider.ok("remove")
        assert provider.traces() == []


def content(provider: Provider, size: int) -> str:
    device = provider.ok("attach").splitlines()[0]
    script = f"blockdev --flushbufs {device}; head -c {size} {device} | sha256sum"
    return call(provider.node, ["sh", "-c", script]).stdout.split()[0]


def test_both_clusters_use_the_image_and_all_verbs(
    tenants: tuple[Tenant, Tenant], volumes: tuple[Provider, Provider]
) -> None:
    for tenant, provider in zip(tenants, volumes, strict=True):
        provider.ok("verify")
        assert content(provider, len(IMAGE)) == SHA256
        key = call(tenant.node, ["sh", "-c", f"sed -n 's/.*key = //p' {KEYRING}"]).stdout.strip()
        assert key
        assert key not in call(tenant.node, ["ps", "-ewwo", "args"]).stdout
        device = provider.ok("attach").splitlines()[0]
        call(tenant.node, ["dd", "if=/dev/urandom", f"of={device}", "bs=1M", "count=1", "oflag=direct"])
        written = content(provider, 8 * MIB)
        provider.ok("setinfo", VOL_METADATA="originstname+inst1.lab.test")
        copy = Provider(tenant.node, f"{provider.volume}.snap")
        provider.ok("snapshot", VOL_SNAPSHOT_NAME=copy.volume, VOL_SNAPSHOT_SIZE="8")
        assert content(copy, 8 * MIB) == written
        copy.ok("remove")
        provider.ok("grow", VOL_NEW_SIZE="12")
        for verb in ("open", "close", "detach", "detach"):
            provider.ok(verb, VOL_OPEN_EXCLUSIVE="True")


def test_a_cluster_may_make_blank_volumes_trash_them_and_fence(tenants: tuple[Tenant, Tenant]) -> None:
    tenant, _ = tenants
    provider = tenant.provider()
    provider.ok("create", VOL_SIZE="4")
    assert tenant.rbd("trash", "mv", f"{tenant.place}/{provider.volume}").status == 0
    listed = tenant.rbd("trash", "ls", "--format=json", tenant.place).stdout
    assert [entry["name"] for entry in json.loads(listed)] == [provider.volume]
    assert tenant.rbd("trash", "rm", "--no-progress", f"{tenant.place}/{json.loads(listed)[0]['id']}").status == 0
    fence = ["ceph", "--id", tenant.user, "--keyring", KEYRING, "osd", "blocklist", "add", "192.0.2.77:0/77", "5"]
    assert call(tenant.node, fence).status == 0


def test_every_cluster_sees_the_images_and_none_can_change_them(
    tenants: tuple[Tenant, Tenant], volumes: tuple[Provider, Provider], lab: Lab, tmp_path: Path
) -> None:
    tenant, _ = tenants
    (tmp_path / "new.raw").write_bytes(IMAGE)
    inside = Store(lab).put(tmp_path / "new.raw")
    seen = json.loads(tenant.node.run(["archipelago", "image", "list", "--json"], timeout_s=60))
    assert [(record["name"], record["sha256"]) for record in seen] == [("shared", SHA256)]
    for words in (["import", "new", inside], ["remove", "shared"]):
        refused = call(tenant.node, ["archipelago", "image", *words])
        assert refused.status == 1
        assert f"error: client.{tenant.user} may not do this in pool '{tenant.place}' or 'images' (" in refused.stderr
        assert f"hint: compare its caps (`ceph auth get client.{tenant.user}`)" in refused.stderr
    assert tenant.rbd("snap", "create", "images/image.shared@mine").status != 0
    assert content(volumes[1], len(IMAGE)) == SHA256


def test_who_looks_after_the_images_sees_clones_but_no_content(
    tenants: tuple[Tenant, Tenant], volumes: tuple[Provider, Provider], images: Node
) -> None:
    info = images.run(["archipelago", "image", "info", "--json", "shared"], timeout_s=60)
    for tenant, provider in zip(tenants, volumes, strict=True):
        assert f'"{tenant.place}/{provider.volume}"' in info
    for tenant, provider in zip(tenants, volumes, strict=True):
        export = ["rbd", "--id", "images", "export", f"{tenant.place}/{provider.volume}", "-"]
        assert "Operation not permitted" in call(images, export).stderr


def test_no_verb_reaches_a_volume_of_another_cluster(
    tenants: tuple[Tenant, Tenant], volumes: tuple[Provider, Provider]
) -> None:
    tenant, other = tenants
    before = content(volumes[1], 8 * MIB)
    intruder = Provider(tenant.node, volumes[1].volume, other.parameters)
    for verb, env in (
        ("verify", {}),
        ("create", {"VOL_SIZE": "4"}),
        ("attach", {}),
        ("grow", {"VOL_NEW_SIZE": "16"}),
        ("setinfo", {"VOL_METADATA": "mine"}),
        ("snapshot", {"VOL_SNAPSHOT_NAME": "mine"}),
        ("remove", {}),
    ):
        result = intruder(verb, **env)
        assert (verb, result.status) == (verb, 1)
        assert f"error: client.{tenant.user} may not do this in pool '{other.place}' or 'images' (" in result.stderr
    assert "is not attached here" in intruder("detach").stderr
    assert content(volumes[1], 8 * MIB) == before


def test_no_tool_reaches_a_volume_of_another_cluster(
    tenants: tuple[Tenant, Tenant], volumes: tuple[Provider, Provider]
) -> None:
    tenant, other = tenants
    theirs = f"{other.place}/{volumes[1].volume}"
    assert other.rbd("snap", "create", "--no-progress", f"{theirs}@kept").status == 0
    before = content(volumes[1], 8 * MIB)
    for words in (
        ["ls", other.place],
        ["trash", "ls", other.place],
        ["info", theirs],
        ["status", theirs],
        ["export", theirs, "-"],
        ["export", f"{theirs}@kept", "-"],
        ["clone", f"{theirs}@kept", f"{tenant.place}/stolen"],
        ["cp", theirs, f"{tenant.place}/stolen"],
        ["create", "--size=1M", f"{other.place}/planted"],
        ["snap", "rm", f"{theirs}@kept"],
        ["snap", "create", f"{theirs}@mine"],
        ["rename", theirs, f"{other.place}/renamed"],
        ["trash", "mv", theirs],
        ["rm", theirs],
    ):
        result = tenant.rbd(*words)
        assert (words, result.status != 0, "Operation not permitted" in result.stderr) == (words, True, True)
    held = f"rbd_id.{volumes[1].volume}"
    for raw in (["get", held, "-"], ["stat", held], ["rm", held], ["create", "planted"], ["listomapkeys", "rbd_trash"]):
        assert (raw, tenant.rados(other, *raw).status) == (raw, 1)
    assert held not in tenant.rados(other, "ls").stdout
    assert content(volumes[1], 8 * MIB) == before
    assert other.rbd("snap", "rm", "--no-progress", f"{theirs}@kept").status == 0


def test_snapshots_are_safe_from_whom_has_another_pool(tenants: tuple[Tenant, Tenant]) -> None:
    """And of the images from all. By its number a snapshot can be deleted past RBD, where one may write to the pool:
    in a pool that is shared by namespaces nothing prevents that, and the manual page says so."""
    tenant, other = tenants
    pools = ["images"] if tenant.pool == other.pool else ["images", other.pool]
    script = (
        "import rados, sys\n"
        "cluster = rados.Rados(conffile='/etc/ceph/ceph.conf', rados_id=sys.argv[1], conf={'keyring': sys.argv[2]})\n"
        "cluster.connect()\n"
        "for pool in sys.argv[3:]:\n"
        "    try:\n"
        "        cluster.open_ioctx(pool).remove_self_managed_snap(1)\n"
        "        print(pool, 'removed')\n"
        "    except rados.PermissionError:\n"
        "        print(pool, 'refused')\n"
    )
    said = tenant.node.run(["python3", "-c", script, tenant.user, KEYRING, *pools], timeout_s=60)
    assert said.splitlines() == [f"{pool} refused" for pool in pools]


def test_a_namespace_that_is_not_there(images: Node) -> None:
    provider = Provider(images, f"{os.urandom(16).hex()}.ext.disk0", {"namespace": "nowhere"})
    result = provider("create", VOL_SIZE="4")
    assert (result.status, result.stderr) == (
        1,
        "error: pool 'images' has no namespace 'nowhere'\n"
        "hint: make it with `rbd namespace create images/nowhere`, or name another one\n",
    )


def test_an_old_cluster_says_why_it_cannot_clone_across_namespaces(tenants: tuple[Tenant, Tenant]) -> None:
    tenant, _ = tenants
    conf = tenant.node.run(["cat", "/etc/ceph/ceph.conf"], timeout_s=30)
    tenant.node.write("/etc/ceph/v1.conf", f"{conf}\n[client]\nrbd_default_clone_format = 1\n")
    provider = tenant.provider(origin="shared", conf="/etc/ceph/v1.conf")
    result = provider("create", VOL_SIZE="8")
    if tenant.namespace:
        assert result.status == 1
        assert "error: this cluster still makes clones of the first format, which cannot reach across" in result.stderr
    else:
        assert (result.status, content(provider, len(IMAGE))) == (0, SHA256)
    provider.ok("remove")
    tenant.node.run(["rm", "/etc/ceph/v1.conf"], timeout_s=30)
