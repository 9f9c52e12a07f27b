# SPDX-License-Identifier: BSD-2-Clause
"""Real instances on the driver ``file``: a reflink migrates live, an overlay fails over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.golden import GoldenImage, golden
from lab.lab import Lab
from lab.timeline import Timeline
from tests.lab.backends import Folder
from tests.lab.support import imported
from tests.lab.test_instance import Instance, refused

pytestmark = pytest.mark.lab

BACKENDS = ("file", "reflink")


@pytest.fixture(scope="module")
def boot_image(lab: Lab, backend: Folder) -> Iterator[GoldenImage]:
    image = golden(lab.spec.release, Timeline())
    with imported(lab, "boot", image.path):
        yield image


@pytest.fixture
def instance(lab: Lab, boot_image: GoldenImage, store: Folder) -> Iterator[Instance]:
    instance = Instance(lab, "inst9.lab.test")
    instance.add()
    yield instance
    instance.gnt("remove", "-f", "--shutdown-timeout=30")
    for node in lab.ganeti_nodes:
        left = node.run(["find", "/run/ganeti-cloud/archipelago", "-name", "*.disk*"], timeout_s=60)
        assert (node.name, left) == (node.name, "")


@pytest.mark.backends("reflink")
def test_a_guest_on_a_reflink_boots_and_migrates(instance: Instance, boot_image: GoldenImage) -> None:
    first = instance.hear()
    assert first.image_sha256 == boot_image.sha256
    instance.gnt("migrate", "-f")
    assert instance.hear().uptime_s >= first.uptime_s


@pytest.mark.backends("file")
def test_a_guest_on_an_overlay_boots_does_not_migrate_and_fails_over(
    instance: Instance, boot_image: GoldenImage, store: Folder
) -> None:
    first = instance.hear()
    assert first.image_sha256 == boot_image.sha256
    (volume,) = store.names()
    result = refused(instance.lab, "gnt-instance", "migrate", "-f", instance.name)
    assert f"volume {volume} is an overlay, attached on {instance.primary.hostname}" in result.stderr
    assert instance.hear().uptime_s >= first.uptime_s
    instance.gnt("failover", "-f")
    assert instance.hear().image_sha256 == boot_image.sha256
