# SPDX-License-Identifier: BSD-2-Clause
"""What the packages leave on a node besides the programs."""

from __future__ import annotations

import pytest

from lab.lab import DEBS, Lab
from lab.layer import packages_in
from tests.lab.support import Store, call

pytestmark = pytest.mark.lab

LOGS = "/var/log/ganeti/extstorage"


def test_the_folders_that_nobody_else_makes(lab: Lab) -> None:
    folders = [LOGS, "/run/ganeti-cloud/archipelago", "/etc/ganeti-cloud"]
    for node in lab.ganeti_nodes:
        said = node.run(["stat", "--format=%a %U %G", *folders], timeout_s=30)
        assert said.splitlines() == ["750 root gnt-daemons", "700 root root", "755 root root"]


def test_logs_are_aged(lab: Lab) -> None:
    node = lab.node(1)
    old, new = f"{LOGS}/open-archipelago-old.log", f"{LOGS}/open-archipelago-new.log"
    node.run(["touch", "--date=31 days ago", old], timeout_s=30)
    node.run(["touch", "--date=29 days ago", new], timeout_s=30)
    node.run(["systemd-tmpfiles", "--clean"], timeout_s=60)
    assert [call(node, ["test", "-e", path]).status for path in (old, new)] == [1, 0]
    node.run(["systemctl", "is-active", "systemd-tmpfiles-clean.timer"], timeout_s=30)
    node.run(["rm", new], timeout_s=30)


def test_the_packages_can_be_removed_and_come_back(lab: Lab) -> None:
    node = lab.node(3)
    packages = packages_in(DEBS, lab.spec.release)
    for path in packages:
        Store(lab).put(path)
    assert call(node, ["nfdhcpd", "rules", "remove", "--dry-run"]).stdout != ""
    node.run(["dpkg", "--purge", *(path.name.partition("_")[0] for path in packages)], timeout_s=120)
    gone = [
        "/usr/sbin/archipelago",
        "/usr/sbin/snf-image",
        "/usr/sbin/nfdhcpd",
        "/usr/sbin/kvm-ifup",
        "/usr/sbin/ganeti-cloud-hooks",
        "/etc/ganeti/hooks/instance-add-post.d/ganeti-cloud",
        "/etc/ganeti/kvm-vif-bridge",
        "/usr/share/ganeti/extstorage/archipelago",
        "/usr/share/ganeti/os/snf-image",
        "/usr/lib/ganeti-cloud",
        "/usr/lib/python3/dist-packages/archipelago",
        "/usr/lib/python3/dist-packages/snf_image",
        "/usr/lib/python3/dist-packages/kvm_ifup",
        "/usr/lib/python3/dist-packages/ganeti_hooks",
        "/usr/lib/python3/dist-packages/nfdhcpd",
        "/etc/ganeti-cloud/snf-image",
    ]
    assert [path for path in gone if call(node, ["test", "-e", path]).status == 0] == []
    assert "nfdhcpd" not in node.run(["nft", "list", "tables"], timeout_s=30)
    assert "NFDHCPD" not in node.run(["iptables-save"], timeout_s=30) + node.run(["ip6tables-save"], timeout_s=30)
    node.run(["dpkg", "--install", *(f"/srv/shared/{path.name}" for path in packages)], timeout_s=120)
    assert call(node, ["ganeti-cloud-hooks", "status"]).status == 0
    assert "there is no image" in call(node, ["archipelago", "image", "info", "none"]).stderr
    assert "OK    helper machine" in call(node, ["snf-image", "check"]).stdout
    units = ["nfdhcpd.service", "nfdhcpd-rules.service"]
    assert node.run(["systemctl", "is-active", *units], timeout_s=30).split() == ["active", "active"]


def test_the_rules_come_back_when_others_are_loaded(lab: Lab) -> None:
    node = lab.node(2)
    for verb in ("restart", "reload", "stop", "start"):
        node.run(["nft", "flush", "ruleset"], timeout_s=30)
        node.run(["systemctl", verb, "nftables.service"], timeout_s=60)
        wait = "until nfdhcpd rules show --json | grep --quiet applied; do sleep 0.2; done"
        node.run(["timeout", "20", "sh", "-c", wait], timeout_s=30)
        assert node.run(["systemctl", "is-active", "nfdhcpd"], timeout_s=30) == "active\n", verb


def test_settings_of_the_rules_are_taken_by_a_restart(lab: Lab) -> None:
    node = lab.node(2)
    node.write("/etc/ganeti-cloud/nfdhcpd.toml", '[rules]\nlinks = "routed"\n')
    node.run(["systemctl", "restart", "nfdhcpd"], timeout_s=60)
    assert "table bridge nfdhcpd" not in node.run(["nft", "list", "tables"], timeout_s=30)
    node.run(["rm", "/etc/ganeti-cloud/nfdhcpd.toml"], timeout_s=30)
    node.run(["systemctl", "restart", "nfdhcpd"], timeout_s=60)
    assert "table bridge nfdhcpd" in node.run(["nft", "list", "tables"], timeout_s=30)


def test_the_daemon_has_the_rights_it_needs_and_no_others(lab: Lab) -> None:
    node = lab.node(2)
    pid = node.run(["systemctl", "show", "--property=MainPID", "--value", "nfdhcpd"], timeout_s=30).strip()
    status = node.run(["cat", f"/proc/{pid}/status"], timeout_s=30)
    found = dict(line.split(":\t", 1) for line in status.splitlines())
    rights = f"{1 << 12 | 1 << 13:016x}"  # CAP_NET_ADMIN and CAP_NET_RAW, linux/capability.h
    assert [found[name] for name in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")] == [rights] * 3 + [
        "1",
        "2",
    ]
    assert node.run(["stat", "--format=%U", f"/proc/{pid}"], timeout_s=30) == "nfdhcpd\n"
    folders = ["/var/lib/nfdhcpd", "/run/nfdhcpd"]
    said = node.run(["stat", "--format=%a %U %G", *folders], timeout_s=30)
    assert said.splitlines() == ["2750 root nfdhcpd", "755 nfdhcpd nfdhcpd"]
