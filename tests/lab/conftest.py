# SPDX-License-Identifier: BSD-2-Clause
"""The lab tier: each test runs on a real Ganeti and a real Ceph, once for each --release that is asked for.

A lab is made once for a session and release, from the packages in dist/, and taken down at its end (--keep leaves it
for the next session, for work on the tests themselves).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator

import pytest

from lab.lab import Lab
from lab.spec import LabSpec, Release
from tests.lab.support import Provider, Store

STRICT = os.environ.get("GANETI_CLOUD_STRICT") == "1"

# Names and subnets (for benchmarks, RFC 2544) of the labs for tests: none is that of the demo, which may be up.
_LABS = {Release.BOOKWORM: ("testbookworm", "198.18.12.0/24"), Release.TRIXIE: ("testtrixie", "198.18.13.0/24")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--release", action="append", choices=[*Release], help="Release of Debian to test on; repeatable.")
    parser.addoption("--lab", nargs=2, metavar=("NAME", "SUBNET"), help="Another lab than the usual, for one release.")
    parser.addoption("--keep", action="store_true", help="Leave the labs up at the end.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lab" in metafunc.fixturenames:
        releases = metafunc.config.getoption("--release") or [Release.TRIXIE]
        metafunc.parametrize("lab", [Release(release) for release in releases], indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With GANETI_CLOUD_STRICT=1 a test that was skipped has failed: nothing rots unseen."""
    report = yield
    if STRICT and report.skipped:
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A cluster of three nodes with Ceph, on which the packages of this tree are installed."""
    release: Release = request.param
    name, subnet = request.config.getoption("--lab") or _LABS[release]
    # A client that was killed holds its image for 30 s by default; the tests kill some hundred.
    options = (("osd_client_watch_timeout", "2"),)
    made = Lab.up(LabSpec(name=name, release=release, subnet=subnet, nodes=3, ceph_options=options))
    yield made
    if not request.config.getoption("--keep"):
        made.down()


@pytest.fixture
def store(lab: Lab) -> Iterator[Store]:
    """The Ceph of the lab; after the test nothing may be in its pool that was not there before."""
    store = Store(lab)
    before = store.objects()
    yield store
    end = time.monotonic() + 30  # an OSD takes its time over what only snapshots had kept
    while store.objects() != before and time.monotonic() < end:
        time.sleep(0.5)
    assert store.objects() == before


@pytest.fixture
def provider(lab: Lab, store: Store) -> Iterator[Provider]:
    """The scripts of the provider on node 1, for a volume of its own; the node is left without a trace of it."""
    provider = Provider(lab.node(1), f"{os.urandom(16).hex()}.ext.disk0")
    yield provider
    provider("remove")
    assert provider.traces() == []


@pytest.fixture(params=["1", "2"])
def clone_format(request: pytest.FixtureRequest, provider: Provider) -> Iterator[str]:
    """The format of clones that the provider's node makes for this test."""
    conf = provider.node.run(["cat", "/etc/ceph/ceph.conf"], timeout_s=30)
    provider.node.write("/etc/ceph/ceph.conf", f"{conf}\n[client]\nrbd_default_clone_format = {request.param}\n")
    yield request.param
    provider.node.write("/etc/ceph/ceph.conf", conf)


@pytest.fixture
def configured(provider: Provider) -> Iterator[Callable[[str], None]]:
    """Puts a text into the configuration file of the provider's node, until the end of the test."""
    path = "/etc/ganeti-cloud/archipelago.toml"
    yield lambda text: provider.node.write(path, text)
    provider.node.run(["rm", "-f", path], timeout_s=30)
