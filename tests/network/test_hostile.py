# SPDX-License-Identifier: BSD-2-Clause
"""Guests that mean harm, to a daemon that runs: nothing is answered that must not be, and nobody else waits."""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lab.rooms import STEP_S, wait_for
from tests.network.clients import LINK, Udhcpc
from tests.network.daemon import Daemon
from tests.network.node import SERVER, Guest, Host
from tests.network.wire import UNLIMITED, Wire, address, cut_short, discover, offer, others, request, wires

_MUTANTS = int(os.environ.get("GANETI_CLOUD_MUTANTS", "60000"))


def test_another_mac_than_the_bindings_gets_nothing(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    guest.room.ip(f"link set {LINK} down", f"link set {LINK} address 52:54:00:00:00:ee", f"link set {LINK} up")
    client = Udhcpc(guest.room)
    client.start("-n", "-q", "-t", "2", "-T", "1")
    assert client.program
    assert client.program.ended().status == 1
    daemon.awaits_count("any spoofed_mac", 2)
    assert daemon.counts()["dhcp4 offer"] == 0
    daemon.awaits(f"{guest.tap}: sent from a MAC that is not its own")


def test_unless_the_binding_allows_it(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest, MACSPOOF="yes")
    daemon.start()
    guest.room.ip(f"link set {LINK} down", f"link set {LINK} address 52:54:00:00:00:ee", f"link set {LINK} up")
    client = Udhcpc(guest.room)
    client.start()
    assert client.told().address == guest.address


def test_nobody_gets_the_address_of_another_tap(host: Host, daemon: Daemon) -> None:
    first, second = wires(host, 2)
    daemon.start()
    first.send(discover(second.mac, xid=77))
    forged = bytearray(discover(first.mac, xid=78))
    forged[70:76] = bytes.fromhex(second.mac.replace(":", ""))  # chaddr alone; its checksum is wrong now, too
    first.send(bytes(forged))
    wait_for("the end of both", lambda: sum(daemon.counts().values()) >= 2)
    answered = [offer(frame, xid) for wire in (first, second) for frame in wire.frames(0) for xid in (77, 78)]
    assert [found for found in answered if found] == []
    assert (first.offered(), second.offered()) == (address(first), address(second))


@contextmanager
def flood(wire: Wire, frame: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Another process writes *frame* to the tap as fast as it can."""
    code = "import os, sys\nframe = bytes.fromhex(sys.argv[2])\nwhile True: os.write(int(sys.argv[1]), frame)"
    os.set_blocking(wire.descriptor, True)
    argv = [sys.executable, "-I", "-c", code, str(wire.descriptor), frame.hex()]
    process = subprocess.Popen(argv, pass_fds=[wire.descriptor])
    try:
        yield process
    finally:
        assert process.poll() is None
        process.kill()
        process.wait()


@pytest.mark.parametrize("malformed", [False, True], ids=["valid", "malformed"])
def test_a_flood_of_one_guest_is_not_felt_by_another(malformed: bool, host: Host, daemon: Daemon) -> None:
    daemon.configure(limits={"packets_per_second": 50, "burst": 50})
    bad, good = wires(host, 2)
    daemon.start()
    assert good.offered() == address(good)
    waits: dict[bool, list[float]] = {False: [], True: []}
    with flood(bad, cut_short(bad.mac) if malformed else discover(bad.mac)) as process:
        # By turns, so that whatever else this machine has to do is felt with the flood and without it.
        for flooded in (False, True) * 6:
            os.kill(process.pid, signal.SIGCONT if flooded else signal.SIGSTOP)
            for _ in range(6):
                time.sleep(0.025)
                begin = time.monotonic()
                assert good.offered() == address(good)
                waits[flooded].append(time.monotonic() - begin)
    without, with_ = (statistics.median(waits[flooded]) for flooded in (False, True))
    assert with_ < 0.02 + 4 * without
    asked = len(waits[False]) + len(waits[True]) + 1
    assert sum(daemon.counts().values()) > asked + 50


def mutants(seeds: list[bytes], number: int) -> Iterator[bytes]:
    """The frames *seeds* with bytes changed, pieces cut out, put in or taken away at the end."""
    dice = random.Random(2131)
    for _ in range(number):
        frame = bytearray(dice.choice(seeds))
        for _ in range(dice.randrange(4)):
            frame[dice.randrange(14, len(frame))] = dice.randrange(256)
        match dice.randrange(6):
            case 0:
                del frame[dice.randrange(14, len(frame)) :]
            case 1:
                frame += dice.randbytes(dice.choice([1, 64, 1100]))
            case 2:
                at = dice.randrange(14, len(frame))
                frame[at : at + dice.randrange(8)] = dice.randbytes(dice.randrange(8))
            case _:
                pass
        yield bytes(frame[:1514])


def test_malformed_packets_do_no_harm(host: Host, daemon: Daemon) -> None:
    daemon.configure(limits=UNLIMITED, ipv6={"mode": "dhcpv6"})
    wire, other = wires(host, 2)
    daemon.start()
    seeds = [discover(wire.mac), request(wire.mac, address(wire), SERVER), *others(wire.mac)]
    for frame in seeds:
        wire.send(frame)
    assert len(wire.frames(STEP_S)) >= 1
    before = daemon.rss_kib()
    for number, frame in enumerate(mutants(seeds, _MUTANTS)):
        wire.send(frame)
        if number % 32 == 0:
            wire.frames(0)
        # What comes while the queue is full is not looked at.
        if number % 1024 == 0:
            assert other.offered() == address(other)
    assert (wire.offered(), other.offered()) == (address(wire), address(other))
    counts = daemon.counts()
    assert counts["any internal_error"] == 0
    assert sum(counts.values()) > _MUTANTS / 4
    assert daemon.rss_kib() - before < 8192


def test_a_tap_that_nobody_reads_delays_nobody(host: Host, daemon: Daemon) -> None:
    """The guest's queue of 1,000 frames (txqueuelen) is full after that many answers."""
    daemon.configure(limits=UNLIMITED)
    deaf, good = wires(host, 2)
    daemon.start()
    frame = discover(deaf.mac)
    for _ in range(3000):
        deaf.send(frame)
    assert good.offered() == address(good)
    daemon.awaits_count("dhcp4 offer", 3000)
