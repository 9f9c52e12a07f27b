# SPDX-License-Identifier: BSD-2-Clause
"""Whoever is killed between two orders to the kernel leaves a tap that can be made again, or swept away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from ganeti_cloud.netlink import Connection
from kvm_ifup.port import BridgePort, Port
from tests.network.cloud import Cloud, Node, bridged, routed


@pytest.fixture
def cloud(needed: None, tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        yield Cloud(stack, tmp_path)


def killed(action: Callable[[], None], orders: int) -> bool:
    """Have *action* done by a process that is killed at its order number *orders*; false when it has fewer."""
    child = os.fork()
    if not child:
        change = Connection.change
        given = 0

        def counted(self: Connection, kind: int, body: bytes, flags: int = 0) -> None:
            nonlocal given
            given += 1
            if given == orders:
                os.kill(os.getpid(), signal.SIGKILL)
            change(self, kind, body, flags)

        try:
            Connection.change = counted  # type: ignore[method-assign] # in a process that ends here
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def killed_on(node: Node, action: Callable[[], None], orders: int) -> bool:
    """The same, in the network of *node*."""
    return node.do(lambda: killed(action, orders))


def is_up(node: Node) -> bool:
    return ",UP" in node.room.run(["ip", "link", "show", "tap0"])


def ports(node: Node) -> list[Port]:
    node.room.ip("link add br0 type bridge", "link set br0 up")
    return [routed(0), bridged(0, BridgePort("br0"))]


@pytest.mark.parametrize("flavour", [0, 1], ids=["routed", "bridged"])
def test_a_making_that_is_killed_is_swept_away_or_done_again(cloud: Cloud, flavour: int) -> None:
    node = cloud.node()
    port = ports(node)[flavour]
    cloud.guest(node, 0)
    before = node.all_there_is()

    def making() -> None:
        node.part.down(port.tap)
        node.part.make(port)
        node.part.up(port)

    for orders in count(1):
        if not killed_on(node, making, orders):
            break
        if flavour == 1:
            assert not is_up(node)
        node.sweep(*node.strays())
        assert node.all_there_is() == before
        assert killed_on(node, making, orders)
        node.make(port)
        assert node.problems(port) == {}
        node.unmake(port)
        assert node.all_there_is() == before
    assert orders > (15, 4)[flavour]


def test_a_routed_tap_is_up_only_when_all_but_its_way_is_there(cloud: Cloud) -> None:
    node = cloud.node()
    cloud.guest(node, 0)
    for orders in count(1):
        was_killed = killed_on(node, lambda: node.part.make(routed(0)), orders)
        assert not is_up(node)
        if not was_killed:
            break
    node.unmake(routed(0))


def test_an_unmaking_that_is_killed_can_be_done_again(cloud: Cloud) -> None:
    node = cloud.node()
    cloud.guest(node, 0)
    before = node.all_there_is()
    for orders in count(1):
        node.make(routed(0))
        if not killed_on(node, lambda: node.part.unmake(routed(0)), orders):
            break
        assert set(node.strays()) == {"tap0"} or node.all_there_is() == before
        node.unmake(routed(0))
        assert node.all_there_is() == before
    assert orders > 4
