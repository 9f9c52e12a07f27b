# SPDX-License-Identifier: BSD-2-Clause
"""What a lab may be asked to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from ganeti_cloud.errors import RequestError
from lab.network import check_unused, mac
from lab.spec import LabSpec, Release, Storage, Subnet, grown, parse_ceph_option


def test_addresses_of_a_subnet() -> None:
    plan = Subnet.parse("203.0.113.0/24")
    found = (plan.cluster, plan.host("node1"), plan.host("node9"), plan.host("store"), plan.instance(7))
    assert found == ("203.0.113.9", "203.0.113.11", "203.0.113.19", "203.0.113.20", "203.0.113.107")


def test_hosts_file_names_everyone_once() -> None:
    lines = Subnet.parse("203.0.113.0/24").hosts_file().splitlines()
    assert lines[:3] == [
        "127.0.0.1 localhost",
        "203.0.113.9 cluster.lab.test cluster",
        "203.0.113.11 node1.lab.test node1",
    ]
    assert "203.0.113.20 store.lab.test store" in lines
    assert "203.0.113.199 inst99.lab.test inst99" in lines
    assert len({line.split()[0] for line in lines}) == len(lines)


def test_each_node_has_a_mac_of_its_own() -> None:
    names = [*(f"node{number}" for number in range(1, 10)), "store"]
    assert len({mac(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        pytest.param(lambda: LabSpec(name="My-Lab"), "--name 'My-Lab': not a lab name", id="name"),
        pytest.param(lambda: LabSpec(nodes=0), "--nodes 0: not a number from 1 to 9", id="no nodes"),
        pytest.param(lambda: LabSpec(nodes=10), "--nodes 10: not a number from 1 to 9", id="many nodes"),
        pytest.param(lambda: LabSpec(osds=2), "--osds 2: not 1 (in memory) or 3 (BlueStore, two copies)", id="osds"),
        pytest.param(lambda: LabSpec(memory_gib=0), "--memory 0: not a number of GiB from 1", id="memory"),
        pytest.param(
            lambda: LabSpec(subnet="198.51.100.0/25"),
            "--subnet 198.51.100.0/25: too small or too large",
            id="small subnet",
        ),
        pytest.param(
            lambda: LabSpec(subnet="198.51.100.7/24"),
            "--subnet 198.51.100.7/24: 198.51.100.7/24 has host bits set",
            id="host bits",
        ),
        pytest.param(lambda: parse_ceph_option("paxos"), "--ceph-option 'paxos': not KEY=VALUE", id="ceph option"),
    ],
)
def test_refusals(make: Callable[[], object], sentence: str) -> None:
    with pytest.raises(RequestError) as caught:
        make()
    assert str(caught.value) == sentence


def test_ceph_option() -> None:
    assert parse_ceph_option("osd client watch timeout = 4") == ("osd_client_watch_timeout", "4")


def test_spec_survives_its_record() -> None:
    spec = LabSpec(
        name="other",
        release=Release.BOOKWORM,
        storage=Storage.FILE,
        ceph_options=(("paxos_propose_interval", "1"),),
        extra_packages=("vim-tiny",),
    )
    assert LabSpec.from_json(spec.to_json()) == spec


def test_nodes_of_a_lab() -> None:
    assert LabSpec(nodes=2).all_nodes == ("node1", "node2", "store")
    assert LabSpec(nodes=1, storage=Storage.FILE).all_nodes == ("node1",)
    assert LabSpec(nodes=1, storage=Storage.FILE, rabbitmq=True).all_nodes == ("node1", "store")


def test_a_lab_grows_and_does_not_shrink_or_change() -> None:
    old = LabSpec(nodes=2)
    more = replace(old, nodes=3, rabbitmq=True)
    assert grown(old, more) == more
    with pytest.raises(RequestError) as caught:
        grown(old, replace(old, nodes=1, release=Release.BOOKWORM))
    assert (str(caught.value), caught.value.hint) == (
        "lab 'lab' exists: release is trixie and not bookworm, nodes is 2 and not 1",
        "lab down --name lab removes it",
    )


def test_rabbitmq_stays_when_it_is_not_asked_for_again() -> None:
    old = LabSpec(rabbitmq=True)
    assert grown(old, replace(old, rabbitmq=False)) == old


def test_a_subnet_of_this_machine_is_refused() -> None:
    inet = {"family": "inet", "local": "10.1.2.3", "prefixlen": 8}
    addresses = json.dumps([{"ifname": "eth0", "addr_info": [{"family": "inet6", "local": "::1"}, inet]}])
    check_unused(Subnet.parse("198.51.100.0/24"), addresses)
    with pytest.raises(RequestError) as caught:
        check_unused(Subnet.parse("10.9.9.0/24"), addresses)
    assert str(caught.value) == "--subnet 10.9.9.0/24: this machine has 10.1.2.3 on eth0"
    assert caught.value.hint == "name another one, for example --subnet 203.0.113.0/24"
