# SPDX-License-Identifier: BSD-2-Clause
"""The daemon over time: bindings and taps that come and go, new settings, restarts, and many taps."""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from lab.rooms import wait_for
from tests.network.clients import LINK, Dhclient, Udhcpc
from tests.network.daemon import Daemon
from tests.network.node import SUBNET, Guest, Host
from tests.network.wire import UNLIMITED, Wire, address, bind, wires

_MANY = 2000


def test_a_new_binding_replaces_the_old_one(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    assert client.told().address == guest.address
    other = str(SUBNET[99])
    host.bind(guest, IP=other)
    wait_for("the new address", lambda: other in daemon.call("leases"))
    client.stop()
    before = len(client.events())
    client.start()
    assert client.told(after=before).address == other


def test_a_broken_binding_leaves_the_old_one(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    host.bind(guest, IP="198.51.100.300")
    daemon.awaits(f"binding {guest.tap}, line ")
    client = Udhcpc(guest.room)
    client.start()
    assert client.told().address == guest.address


def test_a_tap_may_come_after_its_binding_and_again(host: Host, daemon: Daemon) -> None:
    """It has another index then, which nobody tells the daemon but the kernel."""
    wire = Wire(host, "tap0", 0)
    wire.close()
    bind(host, wire)
    daemon.start()
    for _ in range(2):
        wire.reopen(host)
        host.room.ip("link set tap0 up")
        assert wait_for("an offer", lambda: wire.offered(timeout_s=0.2)) == address(wire)
        wire.close()


def test_a_lease_survives_a_restart(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest, LEASE_TIME="30", RENEWAL_TIME="4")
    daemon.start()
    client = Dhclient(guest.room)
    client.start()
    client.told()
    [before] = daemon.leases()
    daemon.stop()
    daemon.start()
    [after] = daemon.leases()
    # It has been renewed by now, perhaps; only a daemon that has forgotten would not know of the offer. The two clocks
    # that the time of day is made of are not read at once.
    assert after["ip"] == guest.address
    assert after["seen"]["dhcp4 offer"] == pytest.approx(before["seen"]["dhcp4 offer"], abs=0.5)
    assert client.read(client.awaited("RENEW")).address == guest.address
    assert guest.addresses() == [f"{guest.address}/24"]


def test_a_crash_loses_no_lease(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    client.told()
    daemon.stop(signal.SIGKILL)
    daemon.start()
    client.renew()
    assert client.read(client.awaited("renew")).address == guest.address


def test_new_settings_are_read_on_demand(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.configure(dhcp4={"lease_time": 7200, "renewal_time": 600})
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    assert client.told().lease_s == 7200
    daemon.configure(dhcp4={"lease_time": 3600, "renewal_time": 600})
    daemon.reload()
    daemon.awaits("the settings are new")
    client.renew()
    assert client.read(client.awaited("renew")).lease_s == 3600


def test_broken_settings_change_nothing(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.configure(dhcp4={"lease_time": 7200, "renewal_time": 600})
    daemon.start()
    daemon.configure(dhcp4={"lease_time": "soon"})
    daemon.reload()
    daemon.awaits("lease_time")
    client = Udhcpc(guest.room)
    client.start()
    assert client.told().lease_s == 7200


def test_a_second_daemon_is_refused(host: Host, daemon: Daemon) -> None:
    daemon.start()
    with pytest.raises(Exception, match="another nfdhcpd"):
        daemon.call("run")
    assert daemon.program
    assert daemon.program.running


def test_leases_tell_who_has_what(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    client.told()
    [line] = [line for line in daemon.call("leases").splitlines() if line.startswith(guest.tap)]
    assert (guest.mac in line, guest.address in line, "vm0" in line) == (True, True, True)
    assert guest.tap in daemon.said


def test_the_table_is_written_to_the_journal_on_demand(host: Host, daemon: Daemon) -> None:
    first, second = wires(host, 2)
    daemon.start()
    assert first.offered() == address(first)
    assert daemon.program
    daemon.program.send(signal.SIGUSR1)
    for wire in (first, second):
        wait_for(f"{wire.tap} in the table", partial(_row, daemon, wire))


def _row(daemon: Daemon, wire: Wire) -> bool:
    return any(wire.mac in line and address(wire) in line for line in daemon.said.splitlines())


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many open files as there are taps."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _MANY + 1000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_two_thousand_taps(host: Host, daemon: Daemon) -> None:
    daemon.configure(limits=UNLIMITED)
    made = wires(host, _MANY, lasting=True)
    daemon.start()
    seconds = daemon.cpu_s()
    for wire in made[::40]:
        assert wire.offered() == address(wire)
    # With the start of Python; loading takes less than a second of that.
    assert seconds < 3
    assert daemon.rss_kib() < 80 * 1024


def test_two_of_the_guests_at_once(host: Host, daemon: Daemon) -> None:
    """A routed and a bridged one on the same node."""
    guests = [host.guest(bridged=False), host.guest(bridged=True)]
    for guest in guests:
        host.bind(guest)
    daemon.start()
    for guest in guests:
        client = Udhcpc(guest.room)
        client.start()
        assert client.told().address == guest.address
        assert guest.room.run(["ip", "link", "show", LINK])
