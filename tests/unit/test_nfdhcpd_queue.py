# SPDX-License-Identifier: BSD-2-Clause
"""A real NFQUEUE: bounded work, one reader, and a full queue that is in nobody's way."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from netfilterqueue import Packet

from ganeti_cloud.errors import CloudError
from nfdhcpd.packets import queue
from nfdhcpd.packets.queue import Queue
from tests.unit.netspace import own_network

pytestmark = [
    pytest.mark.host_tools,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are for root"),
]

NUMBER = 4242
PORT = 67


class Loopback:
    """What is sent to a port of the loopback goes through the queue first."""

    def __init__(self) -> None:
        for argv in (
            ["ip", "link", "set", "lo", "up"],
            f"iptables -A INPUT -p udp --dport {PORT} -j NFQUEUE --queue-num {NUMBER} --queue-bypass".split(),
        ):
            subprocess.run(argv, check=True, timeout=30)
        self._receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._receiver.bind(("127.0.0.1", PORT))

    def send(self, count: int) -> int:
        """Send as many packets; returns how many have passed by now."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(count):
                sender.sendto(b"x", ("127.0.0.1", PORT))
        return self.passed()

    def passed(self) -> int:
        """How many packets have passed since the last time."""
        count = 0
        while True:
            try:
                self._receiver.recv(10)
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        self._receiver.close()


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    with own_network():
        found = Loopback()
        yield found
        found.close()


def drop(packet: Packet) -> bool:
    return False


def test_packets_are_handled_some_at_a_time(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "BATCH", 4)
    handled: list[bytes] = []

    def handle(packet: Packet) -> bool:
        handled.append(packet.get_payload())
        return False

    found = Queue(NUMBER, handle)
    assert loopback.send(10) == 0
    counts = []
    for _ in range(4):
        found.work()
        counts.append(len(handled))
    found.close()
    assert counts == [4, 8, 10, 10]
    assert loopback.passed() == 0


def test_a_verdict_is_obeyed(loopback: Loopback) -> None:
    found = Queue(NUMBER, lambda packet: True)
    assert loopback.send(3) == 0
    found.work()
    assert loopback.passed() == 3
    found.close()


def test_each_packet_has_the_verdict_that_is_its_own(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "BATCH", 5)
    verdicts = iter([False, True, False, False, True, True, False, True, True, False])
    found = Queue(NUMBER, lambda packet: next(verdicts))
    assert loopback.send(10) == 0
    found.work()
    assert loopback.passed() == 2
    assert waiting() == 5
    found.work()
    assert loopback.passed() == 3
    assert waiting() == 0
    found.close()


def waiting() -> int:
    """How many packets are in the queue."""
    [line] = Path("/proc/thread-self/net/netfilter/nfnetlink_queue").read_text(encoding="ascii").splitlines()
    return int(line.split()[2])


def test_a_packet_that_nobody_can_handle_is_dropped(loopback: Loopback) -> None:
    def fail(packet: Packet) -> bool:
        raise KeyboardInterrupt

    found = Queue(NUMBER, fail)
    loopback.send(2)
    for left in (1, 0):
        with pytest.raises(KeyboardInterrupt):
            found.work()
        assert (loopback.passed(), waiting()) == (0, left)
    found.close()


def test_a_daemon_that_hangs_is_in_nobodys_way(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_MAX_LENGTH", 8)
    found = Queue(NUMBER, drop)
    assert loopback.send(20) == 12
    found.work()
    assert loopback.send(5) == 0
    found.close()


def test_without_a_daemon_everything_passes(loopback: Loopback) -> None:
    Queue(NUMBER, drop).close()
    assert loopback.send(5) == 5


def test_there_is_one_reader(loopback: Loopback) -> None:
    found = Queue(NUMBER, drop)
    with pytest.raises(CloudError) as raised:
        Queue(NUMBER, drop)
    assert str(raised.value) == f"queue {NUMBER} is another program's"
    assert raised.value.hint.startswith("does another nfdhcpd run? ")
    assert loopback.send(3) == 0
    found.close()
    Queue(NUMBER, drop).close()


def test_packets_that_come_while_the_queue_is_set_up_are_not_lost(
    loopback: Loopback, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "BATCH", 2)
    settle = Queue._fail_open

    def while_packets_come(self: Queue) -> None:
        assert loopback.send(3) == 0
        settle(self)

    monkeypatch.setattr(Queue, "_fail_open", while_packets_come)
    handled: list[bytes] = []

    def handle(packet: Packet) -> bool:
        handled.append(packet.get_payload())
        return False

    found = Queue(NUMBER, handle)
    counts = []
    for _ in range(3):
        found.work()
        counts.append(len(handled))
    found.close()
    assert counts == [2, 3, 3]
