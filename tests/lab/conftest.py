# SPDX-License-Identifier: BSD-2-Clause
"""The lab tier: each test runs on a real Ganeti and a real Ceph, once for each --release that is asked for.

A lab is made once for a session and release, from the packages in dist/, and taken down at its end (--keep leaves it
for the next session, for work on the tests themselves).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.spec import LabSpec, Release
from tests.lab import backends, debian_kernel
from tests.lab.backends import Backend
from tests.lab.support import Archipelago, Provider, Put, Store

Tried = Callable[[Release], Mapping[str, tuple[int, str]]]

STRICT = os.environ.get("GANETI_CLOUD_STRICT") == "1"

# Names and subnets (for benchmarks, RFC 2544) of the labs for tests: none is that of the demo, which may be up.
_LABS = {Release.BOOKWORM: ("testbookworm", "198.18.12.0/24"), Release.TRIXIE: ("testtrixie", "198.18.13.0/24")}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--release", action="append", choices=[*Release], help="Release of Debian to test on; repeatable.")
    parser.addoption("--lab", nargs=2, metavar=("NAME", "SUBNET"), help="Another lab than the usual, for one release.")
    parser.addoption("--keep", action="store_true", help="Leave the labs up at the end.")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    releases = [Release(release) for release in metafunc.config.getoption("--release") or [Release.TRIXIE]]
    if "lab" in metafunc.fixturenames:
        metafunc.parametrize("lab", releases, indirect=True, scope="session")
    if "release" in metafunc.fixturenames:
        metafunc.parametrize("release", releases)
    if "backend" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("backends")
        names = marker.args if marker else getattr(metafunc.module, "BACKENDS", ("rados",))
        metafunc.parametrize("backend", names, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what belongs to the other release.

    That is what one release is enough for, and what the QEMU of Debian 12 cannot do: it has no driver `file`, which
    test_parallel_writes.py shows.
    """
    left_out = {item for item in items if _needs_newer_qemu(item) or _is_of_another_release(item)}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def _needs_newer_qemu(item: pytest.Item) -> bool:
    parameters = _parameters(item)
    in_files = parameters.get("backend", "rados") != "rados" or item.get_closest_marker("driver_file") is not None
    return in_files and parameters.get("lab") is Release.BOOKWORM


def _is_of_another_release(item: pytest.Item) -> bool:
    marker = item.get_closest_marker("one_release")
    if marker is None:
        return False
    release, reason = marker.args
    if not reason:
        raise pytest.UsageError(f"{item.nodeid}: why is one release enough?")
    return _parameters(item).get("lab") is not Release(release)


def _parameters(item: pytest.Item) -> Mapping[str, object]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


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
    for node in made.ganeti_nodes:
        # It would do in the middle of a test what the test is about to do itself.
        node.run(["systemctl", "stop", "archipelago-maintain.timer"], timeout_s=60)
    yield made
    if not request.config.getoption("--keep"):
        made.down()


@pytest.fixture(scope="session")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Tried:
    """What came of each command that is tried in Debian's own kernel, which is started once for all of them."""
    return cache(lambda release: debian_kernel.tried(release, tmp_path_factory.mktemp("kernel")))


@pytest.fixture(scope="module")
def backend(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Backend]:
    """The store that the nodes use in this module's tests: Ceph, or for BACKENDS of the module one after the other."""
    with backends.used(lab, getattr(request, "param", "rados")) as backend:
        yield backend


@pytest.fixture
def store(backend: Backend) -> Iterator[Backend]:
    """The store of the test; after it nothing may be there that was not there before."""
    store = backend
    before = store.objects()
    yield store
    assert store.leftovers(before) == frozenset()


@pytest.fixture
def provider(lab: Lab, store: Backend) -> Iterator[Provider]:
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


@pytest.fixture
def archipelago(lab: Lab, store: Store) -> Iterator[Archipelago]:
    archipelago = Archipelago(lab, store)
    yield archipelago
    for name, _ in archipelago.list():
        archipelago.ok("image", "remove", name)


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Iterator[Put]:
    yield Put(store, tmp_path)
