# SPDX-License-Identifier: BSD-2-Clause
"""The network tier: real DHCP clients in namespaces of their own, and the daemon of this tree on a node beside them.

It needs root and the clients. Where these are missing the tests are skipped, with GANETI_CLOUD_STRICT=1 they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.network.daemon import Daemon
from tests.network.node import Guest, Host

STRICT = os.environ.get("GANETI_CLOUD_STRICT") == "1"
_PROGRAMS = (
    "unshare",
    "nsenter",
    "ip",
    "dnsmasq",
    "udhcpc",
    "dhclient",
    "dhcpcd",
    "rdisc6",
    "arping",
    "ping",
    "qemu-system-x86_64",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With GANETI_CLOUD_STRICT=1 a test that was skipped has failed: nothing rots unseen."""
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
    return report


@pytest.fixture(autouse=True)
def needed() -> None:
    """Skip what this machine or this user cannot do."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it makes namespaces")
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [name for name in _PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; make setup installs them")


@pytest.fixture
def host(needed: None, tmp_path: Path) -> Iterator[Host]:
    """A node without guests."""
    with ExitStack() as stack:
        yield Host(stack, tmp_path)


@pytest.fixture
def daemon(host: Host) -> Iterator[Daemon]:
    """The daemon for that node, not started yet. When it is still there at the end it must end as it is told to."""
    daemon = Daemon(host)
    yield daemon
    if daemon.program and daemon.program.running:
        ended = daemon.program.stop()
        assert (ended.status, "Traceback" in ended.said) == (0, False), ended.said


@pytest.fixture(params=["routed", "bridged"])
def guest(request: pytest.FixtureRequest, host: Host) -> Guest:
    """A guest on the node, once for each way of being connected."""
    return host.guest(bridged=request.param == "bridged")
