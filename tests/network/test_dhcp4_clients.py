# SPDX-License-Identifier: BSD-2-Clause
"""DHCPv4 as the clients of real guests speak it, on routed and on bridged taps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.rooms import wait_for
from tests.network.clients import LINK, Client, Dhclient, DhclientRebinding, Dhcpcd, Networkd, Udhcpc
from tests.network.daemon import Daemon
from tests.network.node import BRIDGE, EVERYTHING, GATEWAY, SUBNET, Guest, Host

CLIENTS = [Udhcpc, Dhclient, Dhcpcd, Networkd]

OPTIONS = {
    "MTU": "1400",
    "NAMESERVERS": "192.0.2.53 192.0.2.54",
    "DOMAIN": "example.com",
    "SEARCH_DOMAINS": "a.example b.example",
    "NTP_SERVERS": "192.0.2.123",
    "ROUTES": f"10.0.0.0/8,{SUBNET[9]}",
    "LEASE_TIME": "1200",
    "RENEWAL_TIME": "300",
}

# Soon to be renewed, and not over before a test is.
SHORT = {"LEASE_TIME": "30", "RENEWAL_TIME": "3"}


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_guest_gets_all_that_its_binding_says(kind: type[Client], guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest, **OPTIONS)
    daemon.start()
    client = kind(guest.room)
    client.start()
    # systemd-networkd works the broadcast address out by itself, and does not ask for it.
    expected = replace(EVERYTHING, broadcast="") if kind is Networkd else EVERYTHING
    assert client.told() == expected
    guest.awaits_address(f"{guest.address}/24")
    guest.awaits_default_route(GATEWAY)


def test_a_guest_without_options_gets_the_ones_of_the_site(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    site = {"lease_time": 7200, "renewal_time": 600, "nameservers": "192.0.2.55", "domain": "site.example"}
    daemon.configure(dhcp4={**site, "ntp_servers": "192.0.2.124", "search_domains": "c.example"})
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    told = client.told()
    assert (told.lease_s, told.nameservers, told.domain) == (7200, ("192.0.2.55",), "site.example")
    assert (told.ntp, told.search, told.mtu, told.routes) == (("192.0.2.124",), ("c.example",), None, ())


def test_a_private_guest_has_no_default_route(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest, **OPTIONS, PRIVATE="yes")
    daemon.start()
    client = Dhclient(guest.room)
    client.start()
    told = client.told()
    assert (told.routers, told.routes) == ((), (("10.0.0.0/8", str(SUBNET[9])),))


def test_an_option_of_the_bindings_own_arrives(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest, OPTION_66=b"tftp.example".hex())
    daemon.start()
    client = Udhcpc(guest.room)
    client.start("-O", "tftp")
    assert client.awaited("bound")["tftp"] == "tftp.example"


def test_firmware_is_told_what_to_boot(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest, BOOT_SERVER="192.0.2.69", BOOT_FILE="grub/grubx64.efi")
    daemon.start()
    client = Udhcpc(guest.room)
    client.start("-O", "tftp", "-O", "bootfile")
    told = client.awaited("bound")
    assert (told["siaddr"], told["boot_file"]) == ("192.0.2.69", "grub/grubx64.efi")
    assert (told["tftp"], told["bootfile"]) == ("192.0.2.69", "grub/grubx64.efi")


def test_a_gateway_outside_of_the_guests_network_is_reached(host: Host, daemon: Daemon) -> None:
    """A routed guest with a network of its own alone: the route to its gateway comes first (RFC 3442)."""
    guest = host.guest(bridged=False)
    host.bind(guest, SUBNET=f"{guest.address}/32", GATEWAY="203.0.113.1")
    daemon.start()
    client = Dhcpcd(guest.room)
    client.start()
    told = client.told()
    assert (told.prefix, told.routes) == (32, (("203.0.113.1/32", "0.0.0.0"), ("0.0.0.0/0", "203.0.113.1")))
    guest.awaits_default_route("203.0.113.1")
    assert "203.0.113.1" in guest.room.run(["ip", "route", "get", "192.0.2.200"])


def test_a_client_that_asks_for_broadcasts_gets_them(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Udhcpc(guest.room)
    client.start("-B")
    assert client.told().address == guest.address


def test_rapid_commit_takes_two_messages(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Dhcpcd(guest.room)
    client.start("-4", "-A", "-o", "rapid_commit")
    assert client.told().address == guest.address
    counts = daemon.counts()
    assert (counts["dhcp4 ack_rapid_commit"] >= 1, counts["dhcp4 offer"]) == (True, 0)


@pytest.mark.parametrize("kind", [Dhclient, Networkd])
def test_a_lease_is_renewed_in_time(kind: type[Client], guest: Guest, host: Host, daemon: Daemon) -> None:
    """By unicast to a server that no interface has the address of."""
    host.bind(guest, **SHORT)
    daemon.start()
    client = kind(guest.room)
    client.start()
    assert client.told().lease_s == 30
    daemon.awaits_count("dhcp4 ack", 2)
    assert guest.addresses() == [f"{guest.address}/24"]
    if kind is Dhclient:
        assert client.read(client.awaited("RENEW")).address == guest.address


def test_renewing_on_demand(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    client.told()
    client.renew()
    assert client.read(client.awaited("renew")).address == guest.address


def test_who_cannot_reach_the_server_rebinds(host: Host, daemon: Daemon) -> None:
    """Nobody answers for the gateway, so that the unicast has nowhere to go: at T2 the client broadcasts."""
    guest = host.guest(bridged=False)
    host.room.sysctl(f"ipv4.conf.{guest.tap}.proxy_arp=0")
    host.bind(guest, LEASE_TIME="60", RENEWAL_TIME="2")
    daemon.start()
    client = DhclientRebinding(guest.room)
    client.start()
    assert client.awaited("BOUND")["new_dhcp_renewal_time"] == "2"
    # Which of the two it calls it depends on the second in which it looks.
    assert client.read(client.awaited("REBIND", "RENEW")).address == guest.address
    assert client.program
    assert client.program.said.count(" to 255.255.255.255 ") >= 3  # DISCOVER, REQUEST, and the one at T2


def test_a_client_that_rebinds_on_demand(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Dhcpcd(guest.room)
    client.start()
    client.told()
    client.order("-n")
    assert client.read(client.awaited("REBIND", "RENEW")).address == guest.address


@pytest.mark.parametrize("kind", [Dhclient, Dhcpcd])
def test_after_a_reboot_the_address_is_confirmed(kind: type[Client], guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = _with_a_lease(kind, guest)
    offers = daemon.counts()["dhcp4 offer"]
    client.start()
    assert client.read(client.awaited("REBOOT")).address == guest.address
    assert daemon.counts()["dhcp4 offer"] == offers


@pytest.mark.parametrize("kind", [Dhclient, Dhcpcd])
def test_after_a_reboot_another_address_is_refused(
    kind: type[Client], guest: Guest, host: Host, daemon: Daemon
) -> None:
    """The client starts again, and gets the one that is in the binding by now."""
    host.bind(guest)
    daemon.start()
    client, other = _with_a_lease(kind, guest), str(SUBNET[99])
    before = len(client.events())
    host.bind(guest, IP=other)
    wait_for("the new address in the daemon", lambda: other in daemon.call("leases"))
    client.start()
    assert client.told(after=before).address == other
    assert daemon.counts()["dhcp4 nak"] >= 1


def _with_a_lease(kind: type[Client], guest: Guest) -> Client:
    """A client that has had a lease and has not given it back, as after a power cut."""
    client = kind(guest.room)
    client.start()
    client.told()
    client.awaits_kept()
    client.stop()
    guest.room.run(["ip", "-4", "address", "flush", "dev", LINK])
    return client


# systemd-networkd 252 notices as well, and gives the lease up without a word to the server.
@pytest.mark.parametrize(("kind", "words"), [(Udhcpc, ["-a"]), (Dhcpcd, ["-4"])])
def test_an_address_that_somebody_has_is_declined(
    kind: type[Client], words: list[str], guest: Guest, host: Host, daemon: Daemon
) -> None:
    host.bind(guest)
    daemon.start()
    # Whoever else can be on the link: the node itself, or a neighbour on the bridge.
    bridged = (host.room.root / f"sys/class/net/{BRIDGE}").exists()
    host.room.ip(f"address add {guest.address}/32 dev {BRIDGE if bridged else guest.tap}")
    client = kind(guest.room)
    client.start(*words)
    daemon.awaits_count("dhcp4 decline")
    client.stop()
    assert guest.addresses() == []
    assert guest.address in daemon.said


def test_an_address_is_given_back(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest)
    daemon.start()
    client = Udhcpc(guest.room)
    client.start()
    client.told()
    # Who has spoken to the server before has its way there: udhcpc takes the address off the link at once, and waits
    # for no ARP.
    client.renew()
    client.awaited("renew")
    client.release()
    daemon.awaits_count("dhcp4 release")
    client.stop()
    before = len(client.events())
    client.start()
    assert client.told(after=before).address == guest.address


def test_who_has_an_address_already_is_told_the_rest(guest: Guest, host: Host, daemon: Daemon) -> None:
    host.bind(guest, **OPTIONS)
    daemon.start()
    guest.room.ip(f"address add {guest.address}/24 dev {LINK}")
    client = Dhcpcd(guest.room)
    client.start("-4", "-A", f"--inform={guest.address}/24")
    variables = client.awaited("INFORM", "BOUND", "STATIC")
    daemon.awaits_count("dhcp4 ack_inform")
    assert variables["new_domain_name_servers"] == "192.0.2.53 192.0.2.54"
    assert "new_dhcp_lease_time" not in variables
