# SPDX-License-Identifier: BSD-2-Clause
"""Trees that were made to mislead: each task ends at once, with a reason or well, and touches nothing outside."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from snf_image_helper import cloud_init, scratch
from snf_image_helper.job import PersonalityFile
from snf_image_helper.task import TaskError
from tests.unit.snf_guest import PLAIN_JOB, Guest, nic

TASKS = (
    "assign_hostname",
    "change_machine_id",
    "change_password",
    "configure_network",
    "delete_ssh_keys",
    "selinux_autorelabel",
    "enforce_personality",
    "initialize_datasource",
)
FILES = (
    "/etc/hostname",
    "/etc/hosts",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/root/.ssh/authorized_keys",
    "/etc/ssh/sshd_config",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/network/interfaces",
    "/etc/resolv.conf",
    "/etc/selinux/config",
    "/etc/motd",
    "/etc/cloud/cloud.cfg",
    "/var/lib/cloud/seed/nocloud/user-data",
)
FOLDERS = (
    "/etc",
    "/etc/ssh",
    "/etc/network",
    "/etc/network/interfaces.d",
    "/etc/systemd/network",
    "/etc/cloud/cloud.cfg.d",
    "/var/lib/cloud",
    "/root/.ssh",
)
JOB = PLAIN_JOB._replace(
    password_hash="$6$saltsalt$abcdefghijklmnop",
    ssh_keys=("ssh-ed25519 AAAAC3 x",),
    nics=(nic(),),
    personality=(PersonalityFile("/etc/motd", b"hello\n", "root", "root", 0o644),),
    user_data=b"#cloud-config\n{}\n",
)


@pytest.fixture
def guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Guest:
    guest = Guest(tmp_path / "guest")
    guest.put("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
    guest.put("/etc/group", "root:x:0:\n")
    guest.put("/etc/shadow", "root:*:1::::::\n")
    guest.put("/etc/selinux/config", "SELINUX=enforcing\n")
    guest.put("/usr/sbin/ifup")
    guest.put("/usr/bin/cloud-init")
    for path in FILES:
        if not guest.root.exists(path):
            guest.put(path)
    for path in FOLDERS:
        guest.root.make_folders(path)
    place = tmp_path / "run"
    place.mkdir()
    monkeypatch.setattr(scratch, "PLACE", str(place))
    return guest


def replace(path: Path, kind: str, outside: Path) -> None:
    """Put something odd at *path*."""
    path.rename(path.with_name(path.name + ".was"))
    match kind:
        case "link out":
            path.symlink_to(outside / "file")
        case "link to a folder":
            path.symlink_to(outside)
        case "loop":
            path.symlink_to(path.name)
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
            (path / "file").touch()
        case "bytes":
            path.write_bytes(bytes(range(256)) * 64)
        case "huge":
            path.touch()
            os.truncate(path, 1 << 40)


def make_keys(
    argv: Sequence[str], *, stdin: bytes = b"", allowed: Sequence[int] = (0,), timeout_s: float = 60.0
) -> str:
    """What ssh-keygen leaves."""
    Path(argv[-1]).write_text("private", encoding="utf-8")
    Path(f"{argv[-1]}.pub").write_text("public", encoding="utf-8")
    return ""


KINDS: dict[str, tuple[str, ...]] = {path: ("link out", "loop", "pipe", "folder", "bytes") for path in FILES}
KINDS |= {path: ("link to a folder", "loop", "pipe", "huge") for path in FOLDERS}
CASES = [(path, kind) for path, kinds in KINDS.items() for kind in kinds]


@pytest.mark.parametrize(("path", "kind"), CASES)
def test_whatever_is_there_nothing_outside_changes(guest: Guest, tmp_path: Path, path: str, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("outside")
    before = [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(outside)]
    replace(Path(f"{guest.folder}{path}"), kind, outside)
    # Both ways come to each place.
    work = guest.work(JOB, cloud_init=CASES.index((path, kind)) % 2 == 0)
    work.run = make_keys
    reasons = []
    for name in TASKS:
        try:
            importlib.import_module(f"snf_image_helper.tasks.{name}").run(work)
        except (TaskError, OSError) as err:
            reasons.append(str(err))
    try:
        cloud_init.wanted(guest.root, {})
    except OSError as err:
        reasons.append(str(err))
    assert all(reasons)
    assert [(entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(outside)] == before
    assert (outside / "file").read_text() == "outside"
    assert list((tmp_path / "run").iterdir()) == []
