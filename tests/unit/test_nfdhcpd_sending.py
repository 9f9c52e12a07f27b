# SPDX-License-Identifier: BSD-2-Clause
"""Frames onto real interfaces: to the right one, and never waiting for it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from nfdhcpd.packets.sending import Sender
from tests.unit.netspace import own_network

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are for root"),
]

FRAME = b"\xff" * 6 + b"\2" * 6 + b"\x08\0" + b"x" * 50
_ETH_P_ALL = 3  # linux/if_ether.h


@pytest.fixture
def sender() -> Iterator[Sender]:
    with own_network():
        for number in (0, 1):
            words = f"ip link add tap{number} up type veth peer name guest{number}".split()
            subprocess.run(words, check=True, timeout=30)
            subprocess.run(f"ip link set guest{number} up".split(), check=True, timeout=30)
        found = Sender()
        yield found
        found.close()


def listener(name: str) -> socket.socket:
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    found.bind((name, _ETH_P_ALL))
    found.setblocking(False)
    return found


def got(found: socket.socket) -> int:
    count = 0
    while True:
        try:
            count += found.recv(2000) == FRAME
        except BlockingIOError:
            return count


def test_a_frame_comes_out_where_it_should(sender: Sender) -> None:
    with listener("guest0") as one, listener("guest1") as other:
        assert sender.send("tap0", FRAME)
        assert (got(one), got(other)) == (1, 0)
    assert not sender.failures


def test_what_cannot_be_sent_is_counted_by_its_reason(sender: Sender) -> None:
    subprocess.run("ip link set tap1 down".split(), check=True, timeout=30)
    assert not sender.send("tap1", FRAME)
    assert not sender.send("tap9", FRAME)
    assert not sender.send("tap9", FRAME)
    assert not sender.send("tap0", b"x" * 70_000)
    assert sender.send("tap0", FRAME)
    assert sender.failures == {"ENETDOWN": 1, "ENODEV": 2, "EMSGSIZE": 1}
