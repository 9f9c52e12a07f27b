# SPDX-License-Identifier: BSD-2-Clause
"""What a node's root file system is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lab.identity import Identity, masked_units, only_files, rapi_for_all, write_identity


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for folder in ("etc/default", "etc/systemd/system/multi-user.target.wants", "root", "var"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/nsswitch.conf").write_text("passwd: files\nhosts: files dns\n", encoding="utf-8")
    defaults = 'NODED_ARGS=""\nRAPI_ARGS="-b 127.0.0.1"\n'
    (tmp_path / "etc/default/ganeti").write_text(defaults, encoding="utf-8")
    # Both lead nowhere on the machine that writes here.
    (tmp_path / "etc/resolv.conf").symlink_to("/nowhere/stub-resolv.conf")
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants/rabbitmq-server.service"
    wanted.symlink_to("/nowhere/rabbitmq-server.service")
    return tmp_path


def test_the_files_of_a_node(root: Path) -> None:
    write_identity(root, Identity("node2", "node2.lab.test", "127.0.0.1 localhost\n"))
    texts = {
        name: (root / name).read_text(encoding="utf-8")
        for name in ("etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/nsswitch.conf", "etc/default/ganeti")
    }
    assert texts == {
        "etc/hostname": "node2.lab.test\n",
        "etc/hosts": "127.0.0.1 localhost\n",
        "etc/resolv.conf": "",
        "etc/nsswitch.conf": "passwd: files\nhosts: files\n",
        "etc/default/ganeti": 'NODED_ARGS=""\nRAPI_ARGS="-b 0.0.0.0 --require-authentication"\n',
    }
    assert os.access(root / "srv/ganeti/os/noop/create", os.X_OK)


def test_units_are_masked_and_the_broker_waits(root: Path) -> None:
    write_identity(root, Identity("node2", "node2.lab.test", ""))
    units = root / "etc/systemd/system"
    assert os.readlink(units / "systemd-sysctl.service") == "/dev/null"
    assert not os.path.lexists(units / "multi-user.target.wants/rabbitmq-server.service")
    assert not os.path.lexists(units / "rabbitmq-server.service")


def test_what_would_change_the_kernel_is_masked() -> None:
    needed = {"systemd-sysctl.service", "systemd-modules-load.service", "systemd-udevd.service", "modprobe@.service"}
    assert needed <= set(masked_units("node1"))


def test_only_the_store_is_without_ganeti() -> None:
    assert "ganeti.service" in masked_units("store")
    assert "ganeti.service" not in masked_units("node1")


def test_name_service_without_hosts_line() -> None:
    assert only_files("") == "hosts: files\n"


def test_rapi_keeps_authentication() -> None:
    assert rapi_for_all("RAPI_ARGS=\n") == 'RAPI_ARGS="-b 0.0.0.0 --require-authentication"\n'
