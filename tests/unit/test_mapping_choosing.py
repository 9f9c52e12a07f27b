# SPDX-License-Identifier: BSD-2-Clause
"""Which way of making a block device is taken, with scripted ways."""

from __future__ import annotations

import pytest

from archipelago.mapping.choosing import ALL, find, map_again, map_volume, unmap
from archipelago.mapping.mapper import Mapped
from archipelago.parameters import Settings
from ganeti_cloud.errors import CloudError, CommandError, ConfigError
from tests.unit.settings import SETTINGS, VOLUME

HINT = 'see [attach] map in archipelago.toml(5); "auto" tries krbd, rbd-nbd, and qemu-storage-daemon with a loop device'


class Scripted:
    """A way that does as it is told, and keeps what was asked of it."""

    def __init__(
        self, name: str, *, reason: str | None = None, has: bool = False, fails: CloudError | None = None
    ) -> None:
        self._name, self._reason, self._has, self._fails = name, reason, has, fails
        self.asked: list[str] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def device(self) -> Mapped:
        return Mapped(f"/dev/{self._name}0", [("/sys/x", self._name)])

    def unusable(self) -> str | None:
        self.asked.append("unusable")
        return self._reason

    def find(self, settings: Settings, volume: str) -> Mapped | None:
        self.asked.append("find")
        return self.device if self._has else None

    def map(self, settings: Settings, volume: str, device: str = "") -> Mapped:
        self.asked.append(f"map {device}".strip())
        if self._fails is not None:
            raise self._fails
        return self.device

    def unmap(self, settings: Settings, volume: str) -> bool:
        self.asked.append("unmap")
        return self._has


def too_old() -> CommandError:
    return CommandError("rbd map v: exit 6: too old", status=6)


def test_the_kernel_comes_first() -> None:
    assert [mapper.name for mapper in ALL] == ["krbd", "nbd", "fuse"]


def test_find_asks_each_in_turn() -> None:
    ways = Scripted("krbd"), Scripted("nbd", has=True), Scripted("fuse", has=True)
    assert find(SETTINGS, VOLUME, ways) == ways[1].device
    assert [way.asked for way in ways] == [["find"], ["find"], []]
    assert find(SETTINGS, VOLUME, [Scripted("krbd")]) is None


def test_auto_takes_the_first_that_works() -> None:
    ways = Scripted("krbd", reason="no module"), Scripted("nbd"), Scripted("fuse")
    assert map_volume(SETTINGS, VOLUME, ways) == ways[1].device
    assert [way.asked for way in ways] == [["unusable"], ["unusable", "map"], []]


def test_auto_goes_on_after_a_failure() -> None:
    ways = Scripted("krbd", fails=too_old()), Scripted("nbd", reason="not installed"), Scripted("fuse")
    assert map_volume(SETTINGS, VOLUME, ways) == ways[2].device


def test_nothing_goes_on_after_a_time_out() -> None:
    late = CommandError("rbd map v: no end after 15 s", status=None, timed_out=True)
    ways = Scripted("krbd", fails=late), Scripted("nbd"), Scripted("fuse")
    with pytest.raises(CommandError) as caught:
        map_volume(SETTINGS, VOLUME, ways)
    assert caught.value is late
    assert [way.asked for way in ways] == [["unusable", "map"], [], []]


def test_a_node_may_have_none() -> None:
    ways = Scripted("krbd", reason="no module"), Scripted("fuse", reason="not installed")
    assert map_volume(SETTINGS, VOLUME, ways) is None


def test_the_demanded_one_is_taken() -> None:
    ways = Scripted("krbd"), Scripted("nbd"), Scripted("fuse")
    assert map_volume(SETTINGS._replace(map="fuse"), VOLUME, ways) == ways[2].device
    assert [way.asked for way in ways] == [[], [], ["unusable", "map"]]


@pytest.mark.parametrize(
    ("how", "ways", "kind", "sentence"),
    [
        pytest.param(
            "nbd",
            [Scripted("krbd"), Scripted("nbd", reason="rbd-nbd is not installed"), Scripted("fuse")],
            ConfigError,
            f"no block device for {VOLUME}: nbd: rbd-nbd is not installed",
            id="demanded and unusable",
        ),
        pytest.param(
            "krbd",
            [Scripted("krbd", fails=too_old()), Scripted("nbd")],
            CommandError,
            f"no block device for {VOLUME}: krbd: rbd map v: exit 6: too old",
            id="demanded and failed",
        ),
        pytest.param(
            "auto",
            [Scripted("krbd", fails=too_old()), Scripted("nbd", reason="not installed")],
            CommandError,
            f"no block device for {VOLUME}: krbd: rbd map v: exit 6: too old; nbd: not installed",
            id="all failed",
        ),
    ],
)
def test_when_no_way_works(how: str, ways: list[Scripted], kind: type[CloudError], sentence: str) -> None:
    with pytest.raises(CloudError) as caught:
        map_volume(SETTINGS._replace(map=how), VOLUME, ways)
    assert (type(caught.value), str(caught.value), caught.value.hint) == (kind, sentence, HINT)


@pytest.mark.parametrize(("has", "was"), [((False, True, False), True), ((True, True, True), True), ((False,), False)])
def test_unmap_asks_every_way(has: tuple[bool, ...], was: bool) -> None:
    ways = [Scripted(str(number), has=one) for number, one in enumerate(has)]
    assert unmap(SETTINGS._replace(map="krbd"), VOLUME, ways) is was
    assert [way.asked for way in ways] == [["unmap"]] * len(has)


def test_map_again_keeps_the_way_and_the_name() -> None:
    ways = [Scripted("krbd"), Scripted("nbd", has=True), Scripted("fuse", has=True)]
    assert map_again(SETTINGS, VOLUME, ways) == ways[1].device
    assert [way.asked for way in ways] == [["find"], ["find", "unmap", "map /dev/nbd0"], []]
    assert map_again(SETTINGS, VOLUME, [Scripted("krbd")]) is None
