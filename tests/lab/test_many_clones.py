# SPDX-License-Identifier: BSD-2-Clause
"""Many disks of one image, made on all nodes at once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.ceph import data_bytes
from lab.lab import Lab
from lab.node import Node
from tests.lab.support import MIB, Provider, Store, imported

pytestmark = pytest.mark.lab

CLONES = 100
INSTANCES = 3
WORKERS = 3  # on each node
JOB_S = 300.0


@pytest.fixture(scope="module")
def origin(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An image of 32 MiB, all of it data."""
    path = tmp_path_factory.mktemp("image") / "many.raw"
    path.write_bytes(os.urandom(32 * MIB))
    with imported(lab, "many", path):
        yield "many"


def on_all_nodes(lab: Lab, volumes: Sequence[str], origin: str, *verbs: str) -> None:
    """Call *verbs* for all *volumes*, spread over the nodes; all must succeed."""
    program = Store(lab).put(Path(__file__).with_name("cloning.py"))
    nodes = lab.ganeti_nodes

    def share(number: int, node: Node) -> str:
        argv = ["/usr/bin/python3", program, str(WORKERS), origin, *verbs]
        return node.run(argv, timeout_s=900, stdin="\n".join(volumes[number :: len(nodes)]))

    with ThreadPoolExecutor(len(nodes)) as pool:
        for text in pool.map(share, range(len(nodes)), nodes):
            failed = {name: calls[-1] for name, calls in json.loads(text).items() if calls[-1][1] != 0}
            assert failed == {}


def parents(store: Store) -> dict[str, str]:
    """What each volume in the pool is a clone of."""
    listed = json.loads(store.node.run(["rbd", "ls", "--long", "--format=json"], timeout_s=300))
    return {entry["image"]: str(entry.get("parent")) for entry in listed if ".ext.disk" in entry["image"]}


def test_a_hundred_clones_from_all_nodes_at_once(lab: Lab, store: Store, origin: str) -> None:
    ours = os.urandom(8).hex()
    names = [f"{ours}-{number}.ext.disk0" for number in range(CLONES)]
    before = data_bytes(store.node)
    on_all_nodes(lab, names, origin, "create", "attach", "open", "setinfo", "detach")
    made = parents(store)
    assert sorted(made) == sorted(names)
    [parent] = set(made.values())
    assert parent != "None"
    assert (data_bytes(store.node) - before) / CLONES < MIB
    on_all_nodes(lab, names, origin, "remove")
    assert parents(store) == {}
    for node in lab.ganeti_nodes:
        assert Provider(node, ours).traces() == []


def test_instances_on_all_nodes_at_once(lab: Lab, store: Store, origin: str) -> None:
    instances = [f"inst{60 + number}.lab.test" for number in range(INSTANCES)]
    disk = f"0:size=64M,provider=archipelago,origin={origin}"

    def add(number: int) -> None:
        node = lab.node(number + 1).hostname
        argv = ["gnt-instance", "add", "-t", "ext", "--disk", disk, "-o", "noop", "-n", node, "--no-start"]
        lab.master.run([*argv, "--net=0:link=br-lan", instances[number]], timeout_s=JOB_S)

    def remove(number: int) -> None:
        lab.master.run(["gnt-instance", "remove", "-f", "--shutdown-timeout=1", instances[number]], timeout_s=JOB_S)

    with ThreadPoolExecutor(INSTANCES) as pool:
        list(pool.map(add, range(INSTANCES)))
        assert len(parents(store)) == INSTANCES
        list(pool.map(remove, range(INSTANCES)))
    assert parents(store) == {}
