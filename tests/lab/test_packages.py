# SPDX-License-Identifier: BSD-2-Clause
"""What the packages leave on a node besides the programs."""

from __future__ import annotations

import pytest

from lab.lab import DEBS, Lab
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
    packages = sorted(DEBS.glob("*.deb"))
    for path in packages:
        Store(lab).put(path)
    node.run(["dpkg", "--purge", *(path.name.partition("_")[0] for path in packages)], timeout_s=120)
    gone = [
        "/usr/sbin/archipelago",
        "/usr/sbin/snf-image",
        "/usr/share/ganeti/extstorage/archipelago",
        "/usr/share/ganeti/os/snf-image",
        "/usr/lib/ganeti-cloud",
        "/usr/lib/python3/dist-packages/archipelago",
        "/usr/lib/python3/dist-packages/snf_image",
        "/etc/ganeti-cloud/snf-image",
    ]
    assert [path for path in gone if call(node, ["test", "-e", path]).status == 0] == []
    node.run(["sh", "-c", "dpkg --install /srv/shared/ganeti-*.deb"], timeout_s=120)
    assert "there is no image" in call(node, ["archipelago", "image", "info", "none"]).stderr
    assert "OK    helper machine" in call(node, ["snf-image", "check"]).stdout
