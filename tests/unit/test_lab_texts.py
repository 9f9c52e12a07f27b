# SPDX-License-Identifier: BSD-2-Clause
"""Configurations and command lines that the lab writes, and tool output that it reads."""

from __future__ import annotations

import base64
import configparser
from pathlib import Path

import pytest

from lab.ceph_config import CephPlan, client_conf, make_key, make_keys, server_conf, units
from lab.cluster import init_command, kvm_parameters, parse_members
from lab.layer import layer_key, packages_in
from lab.mounts import below
from lab.packages import base_key, package_list
from lab.spec import Release

_PLAN = CephPlan(address="198.51.100.20", fsid="f", options=(("osd_client_watch_timeout", "4"),))


def _ini(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser


def test_clients_get_no_time_limit_of_rados() -> None:
    text = client_conf(_PLAN)
    assert "op_timeout" not in text
    found = _ini(text)
    assert found["global"]["mon_host"] == "v2:198.51.100.20:3300/0"
    assert found["client"]["keyring"] == "/etc/ceph/$cluster.$name.keyring"


def test_options_reach_daemons_and_clients() -> None:
    values = [_ini(text(_PLAN))["global"]["osd_client_watch_timeout"] for text in (client_conf, server_conf)]
    assert values == ["4", "4"]


def test_an_option_replaces_the_lab_s_own() -> None:
    plan = CephPlan(address="198.51.100.20", fsid="f", options=(("paxos_propose_interval", "1"),))
    assert _ini(server_conf(plan))["global"]["paxos_propose_interval"] == "1"


@pytest.mark.parametrize(("osds", "store", "copies"), [(1, "memstore", "1"), (3, "bluestore", "2")])
def test_store_and_copies(osds: int, store: str, copies: str) -> None:
    found = _ini(server_conf(CephPlan(address="198.51.100.20", fsid="f", osds=osds)))
    assert (found["osd"]["osd_objectstore"], found["global"]["osd_pool_default_size"]) == (store, copies)


def test_cephx_key_is_what_ceph_decodes() -> None:
    key = make_key(random=bytes, now_s=1.0)
    assert base64.b64decode(key) == b"\x01\x00" + b"\x01\x00\x00\x00" + bytes(4) + b"\x10\x00" + bytes(16)


def test_ganeti_gets_the_least_rights() -> None:
    keys = make_keys(3)
    assert sorted(keys) == ["client.admin", "client.ganeti", "mgr.x", "mon.", "osd.0", "osd.1", "osd.2"]
    rights = [line.strip() for line in keys["client.ganeti"].splitlines()[2:]]
    assert rights == ['caps mon = "profile rbd"', 'caps osd = "profile rbd"', 'caps mgr = "profile rbd"']


def test_a_unit_for_each_daemon() -> None:
    names = ["lab-ceph-mon.service", "lab-ceph-mgr.service", "lab-ceph-osd0.service", "lab-ceph-osd1.service"]
    assert list(units(range(2))) == names


def test_instances_boot_from_their_disks_under_tcg() -> None:
    assert kvm_parameters(Release.TRIXIE, kvm=False) == (
        "kvm:kvm_path=/usr/bin/qemu-system-x86_64,kvm_flag=disabled,vhost_net=false,"
        "kernel_path=,initrd_path=,serial_console=true,vnc_bind_address="
    )


def test_bookworm_migrates_in_one_pass() -> None:
    assert kvm_parameters(Release.BOOKWORM, kvm=True).endswith("migration_bandwidth=4000,migration_downtime=20000")


def test_the_cluster_has_its_name_last() -> None:
    assert init_command(Release.TRIXIE, kvm=False)[-1] == "cluster.lab.test"


def test_members() -> None:
    assert parse_members("node1.lab.test|N\nnode2.lab.test|Y\n") == {"node1.lab.test": False, "node2.lab.test": True}


def test_package_lists_differ_by_release_and_extras() -> None:
    assert "python3-netfilterqueue" in package_list(Release.TRIXIE)
    assert "python3-netfilterqueue" not in package_list(Release.BOOKWORM)
    keys = {base_key(Release.TRIXIE), base_key(Release.BOOKWORM), base_key(Release.TRIXIE, ["vim-tiny"])}
    assert len(keys) == 3
    assert base_key(Release.TRIXIE, ["ganeti"]) == base_key(Release.TRIXIE)


def test_layer_follows_the_content_of_the_packages(tmp_path: Path) -> None:
    one, two = tmp_path / "a.deb", tmp_path / "b.deb"
    one.write_bytes(b"1")
    two.write_bytes(b"2")
    key = layer_key("base-x.squashfs", [one, two])
    assert layer_key("base-x.squashfs", [two, one]) == key
    assert layer_key("base-y.squashfs", [one, two]) != key
    two.write_bytes(b"3")
    assert layer_key("base-x.squashfs", [one, two]) != key


def test_packages_for_one_release_are_in_a_folder_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "bookworm").mkdir()
    ours, binding = tmp_path / "nfdhcpd_0.1.0_all.deb", tmp_path / "bookworm" / "python3-netfilterqueue_1_amd64.deb"
    for path in (ours, binding):
        path.touch()
    assert packages_in(tmp_path, Release.TRIXIE) == [ours]
    assert packages_in(tmp_path, Release.BOOKWORM) == [binding, ours]


def test_mounts_below_a_folder_innermost_first() -> None:
    table = (
        "22 1 0:21 / / rw - ext4 /dev/vda rw\n"
        "40 22 0:40 / /run/x/lab/memory rw - tmpfs t rw\n"
        "41 40 7:0 / /run/x/lab/memory/layers/my\\040base ro - squashfs /dev/loop0 ro\n"
        "42 22 0:42 / /run/x/lab2 rw - tmpfs t rw\n"
    )
    assert below(Path("/run/x/lab"), table) == [
        Path("/run/x/lab/memory/layers/my base"),
        Path("/run/x/lab/memory"),
    ]
