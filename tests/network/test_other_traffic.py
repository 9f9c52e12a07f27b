# SPDX-License-Identifier: BSD-2-Clause
"""What is not for the daemon passes: all of it while there is none or it hangs, else that of taps without a binding."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator

import pytest

from lab.rooms import wait_for
from tests.network.clients import LINK, Udhcpc
from tests.network.daemon import Daemon
from tests.network.node import BRIDGE, GATEWAY, UPLINK, Guest, Host
from tests.network.wire import UNLIMITED, Wire, discover

# More than fit into a queue (4,096 in the daemon); what does not fit passes.
_MANY = 12_000


@pytest.fixture
def passed(host: Host) -> Iterator[socket.socket]:
    """A DHCP server's socket on the node: it gets what no queue has kept."""
    with host.room.network():
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        listener.bind(("", 67))
        yield listener


def came(listener: socket.socket) -> int:
    """How many datagrams have come since the last look."""
    number = 0
    while True:
        try:
            listener.recv(2048)
        except BlockingIOError:
            return number
        number += 1


def awaits(listener: socket.socket, number: int) -> None:
    """Wait until *number* datagrams have come, and no more than that."""
    arrived = 0

    def enough() -> bool:
        nonlocal arrived
        arrived += came(listener)
        return arrived >= number

    wait_for(f"{number} datagrams", enough)
    assert arrived == number


def ask(guest: Guest, tries: int = 2) -> list[str]:
    """Have the guest ask for an address up to so many times, a second apart; what happened to its client."""
    client = Udhcpc(guest.room)
    before = len(client.events())
    client.start("-n", "-q", "-t", str(tries), "-T", "1")
    assert client.program
    client.program.ended()
    return client.names()[before:]


def test_a_tap_without_a_binding_is_nobodys_business(
    guest: Guest, host: Host, daemon: Daemon, passed: socket.socket
) -> None:
    daemon.start()
    assert ask(guest) == ["deconfig", "leasefail"]
    awaits(passed, 2)
    host.bind(guest)
    wait_for("the binding", lambda: guest.address in daemon.call("leases"))
    assert ask(guest, tries=30) == ["deconfig", "bound"]
    assert came(passed) == 0
    host.unbind(guest.tap)
    wait_for("no binding", lambda: guest.address not in daemon.call("leases"))
    assert ask(guest) == ["deconfig", "leasefail"]
    awaits(passed, 2)


@pytest.mark.parametrize("missing", ["daemon", "rules"])
def test_without_daemon_or_rules_packets_pass(
    missing: str, guest: Guest, host: Host, daemon: Daemon, passed: socket.socket
) -> None:
    host.bind(guest)
    daemon.start()
    if missing == "daemon":
        daemon.stop(signal.SIGKILL)
    else:
        daemon.call("rules", "remove")
    assert ask(guest) == ["deconfig", "leasefail"]
    awaits(passed, 2)


def test_while_the_daemon_hangs_packets_pass_its_full_queue(host: Host, daemon: Daemon, passed: socket.socket) -> None:
    daemon.configure(limits=UNLIMITED)
    wire = Wire(host, "tap0", 0)
    host.room.ip("link set tap0 up")
    daemon.start()
    frame, arrived = discover(wire.mac), 0
    with daemon.hung():
        for sent in range(_MANY):
            wire.send(frame)
            if sent % 64 == 0:
                arrived += came(passed)

        def enough() -> bool:
            nonlocal arrived
            arrived += came(passed)
            return arrived > _MANY / 2

        wait_for("most of them", enough)
    # What was kept passes as well when it goes on: there is no binding for this tap.
    wait_for("the rest", lambda: came(passed) >= 1)


def test_while_the_daemon_hangs_nothing_else_waits(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    client.told()
    with daemon.hung():
        # The router behind the bridge, or the node itself.
        other = GATEWAY if (host.room.root / f"sys/class/net/{BRIDGE}").exists() else UPLINK
        said = guest.room.run(["ping", "-c", "3", "-i", "0.2", "-W", "20", "-I", LINK, other])
    assert " 0% packet loss" in said


def test_packets_of_other_ports_are_not_looked_at(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    guest.room.ip(f"address add {guest.address}/24 dev {LINK}", f"route replace default via {GATEWAY}")
    with guest.room.network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        # The last one is looked at, and so those before it have not been.
        for port in (53, 66, 68, 546, 547, 67):
            sender.sendto(b"hello", (UPLINK, port))

    def looked_at() -> list[int]:
        return [count for name, count in daemon.counts().items() if count and name.startswith("dhcp")]

    assert wait_for("the last one", looked_at) == [1]
