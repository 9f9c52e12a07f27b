# SPDX-License-Identifier: BSD-2-Clause
"""Routed guests, with real packets: to the router, to each other, from one node to another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ganeti_cloud.errors import CommandError
from lab.rooms import Room
from tests.network.cloud import GATEWAY, GATEWAY6, PREFIX, PREFIX6, Cloud, Node, routed


@pytest.fixture
def cloud(needed: None, tmp_path: Path) -> Iterator[Cloud]:
    with ExitStack() as stack:
        yield Cloud(stack, tmp_path)


@pytest.fixture
def node(cloud: Cloud) -> Node:
    return cloud.node()


def reaches(room: Room, address: object, *, wait_s: int = 2) -> bool:
    """Whether an answer comes to a packet."""
    try:
        room.run(["ping", "-n", "-q", "-c", "1", "-W", str(wait_s), str(address)])
    except CommandError:
        return False
    return True


ROUTER = (GATEWAY, GATEWAY6)
GUESTS = [(f"{PREFIX}.{10 + number}", f"{PREFIX6}:{10 + number}") for number in range(2)]


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_a_guest_and_the_router_reach_each_other(cloud: Cloud, node: Node, family: int) -> None:
    guest = cloud.guest(node, 0)
    node.make(routed(0))
    assert reaches(guest, ROUTER[family])
    assert reaches(cloud.router, GUESTS[0][family])
