# SPDX-License-Identifier: BSD-2-Clause
"""What the daemon is to the system: its rights, and what the service manager hears of it."""

from __future__ import annotations

import os
import pwd
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ganeti_cloud.daemon.notify import Notifier
from ganeti_cloud.errors import CloudError
from nfdhcpd.loop import privileges

ROOT = Path(__file__).parents[2]
STATUS = "Name:\tpython3\nCapPrm:\t0000000000000000\nCapEff:\t{:016x}\nCapBnd:\tffffffffffffffff\n"


@pytest.mark.parametrize(
    ("effective", "problem"),
    [
        (0, "this process has no CAP_NET_ADMIN and no CAP_NET_RAW"),
        (1 << 13, "this process has no CAP_NET_ADMIN"),
        (1 << 12, "this process has no CAP_NET_RAW"),
    ],
)
def test_a_lack_of_rights_is_told(tmp_path: Path, effective: int, problem: str) -> None:
    path = tmp_path / "status"
    path.write_text(STATUS.format(effective), encoding="ascii")
    with pytest.raises(CloudError) as raised:
        privileges.check(str(path))
    assert str(raised.value) == problem
    assert raised.value.hint == "start it as root, or by systemctl start nfdhcpd"


def test_the_two_rights_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_text(STATUS.format(3 << 12), encoding="ascii")
    privileges.check(str(path))
    assert not privileges.has_more(str(path))
    path.write_text(STATUS.format(7 << 12), encoding="ascii")
    assert privileges.has_more(str(path))


def test_root_is_given_up_for_a_user_with_two_capabilities() -> None:
    entry = pwd.struct_passwd(("nfdhcpd", "x", 991, 992, "", "/", "/usr/sbin/nologin"))
    only = "-all,+net_admin,+net_raw"
    assert privileges.setpriv(entry, ["python3", "nfdhcpd", "run"]) == [
        "/usr/bin/setpriv",
        "--reuid=991",
        "--regid=992",
        "--clear-groups",
        f"--inh-caps={only}",
        f"--ambient-caps={only}",
        f"--bounding-set={only}",
        "--no-new-privs",
        "--",
        "python3",
        "nfdhcpd",
        "run",
    ]


def test_without_the_user_nothing_is_started(tmp_path: Path) -> None:
    with pytest.raises(CloudError) as raised:
        privileges.become("no-such-user", ["true"], tmp_path / "state")
    assert str(raised.value) == "there is no user no-such-user"
    assert raised.value.hint == "the package nfdhcpd makes it; --user names another"
    assert not (tmp_path / "state").exists()


def test_the_state_folder_becomes_that_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owners: list[tuple[object, ...]] = []
    started: list[list[str]] = []
    monkeypatch.setattr("shutil.chown", lambda *words: owners.append(words))
    monkeypatch.setattr("os.execv", lambda path, argv: started.append(argv))
    nobody = pwd.getpwnam("nobody")
    privileges.become("nobody", ["true"], tmp_path / "state")
    assert owners == [(tmp_path / "state", nobody.pw_uid, nobody.pw_gid)]
    privileges.become("nobody", ["true"], tmp_path / "state")
    assert (len(owners), started[1]) == (1, privileges.setpriv(nobody, ["true"]))


@pytest.fixture
def manager(tmp_path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(5)
    return listener


def test_the_manager_is_told_of_each_step(manager: socket.socket) -> None:
    with manager:
        notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"})
        assert notifier.watchdog_s == 15.0
        notifier.ready()
        notifier.reloading()
        notifier.alive("3 taps")
        notifier.stopping()
        told = [manager.recv(1000).decode() for _ in range(4)]
    assert (told[0], told[2], told[3]) == ("READY=1", "WATCHDOG=1\nSTATUS=3 taps", "STOPPING=1")
    assert told[1].startswith("RELOADING=1\nMONOTONIC_USEC=")


def test_an_abstract_address_is_one() -> None:
    name = f"nfdhcpd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        manager.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("env", [{}, {"NOTIFY_SOCKET": "/nonexistent/notify"}])
def test_nobody_has_to_listen(env: Mapping[str, str]) -> None:
    notifier = Notifier(env)
    notifier.ready()
    assert notifier.watchdog_s is None


def test_the_daemon_loads_no_large_library() -> None:
    """Each of these is loaded in a tenth of a second, and is a large part of the memory that a node has for it."""
    large = {"scapy", "prometheus_client", "http.client", "asyncio", "requests", "jinja2", "ssl"}
    program = "import sys, nfdhcpd.cli, nfdhcpd.loop.daemon; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, check=True
    )
    assert large & set(done.stdout.split()) == set()
