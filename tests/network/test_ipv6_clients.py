# SPDX-License-Identifier: BSD-2-Clause
"""Router and neighbour discovery and DHCPv6 as guests speak them, by their kernel and by their clients."""

from __future__ import annotations

import json

import pytest

from lab.rooms import wait_for
from tests.network.clients import LINK, Dhclient, DhclientRefusing, Dhcpcd, Networkd
from tests.network.daemon import Daemon
from tests.network.node import GATEWAY6, SUBNET6, Guest, Host

BINDING = {
    "SUBNET6": SUBNET6,
    "GATEWAY6": GATEWAY6,
    "MTU": "1400",
    "NAMESERVERS": "2001:db8::53 192.0.2.53",
    "SEARCH_DOMAINS": "a.example b.example",
}
ADDRESS6 = "2001:db8:5::abc"

NETWORKD = f"""
[Match]
Name={LINK}
[Network]
DHCP=no
IPv6AcceptRA=yes
"""


@pytest.fixture(params=["slaac", "slaac+dhcpv6", "dhcpv6"])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def serve(daemon: Daemon, host: Host, guest: Guest, mode: str, **more: str) -> None:
    """Start the daemon in *mode* with the guest's binding."""
    host.bind(guest, **BINDING, **more)
    daemon.configure(ipv6={"mode": mode, "ra_period": 300})
    daemon.start()


def router_mac(host: Host, guest: Guest) -> str:
    """The address that answers come from: of the tap, or of its bridge."""
    links = json.loads(host.room.run(["ip", "-j", "link"]))
    master = {link["ifname"]: link.get("master", link["ifname"]) for link in links}[guest.tap]
    return {link["ifname"]: str(link["address"]) for link in links}[master]


def link_local(mac: str) -> str:
    first, *rest = (int(byte, 16) for byte in mac.split(":"))
    all_ = [first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]]
    groups = [all_[at] << 8 | all_[at + 1] for at in range(0, 8, 2)]
    return "fe80::" + ":".join(f"{group:x}" for group in groups)


def test_a_router_is_found_with_all_that_it_says(guest: Guest, host: Host, daemon: Daemon, mode: str) -> None:
    serve(daemon, host, guest, mode)
    said = guest.room.run(["rdisc6", "-1", "-w", "10000", LINK])
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in said.splitlines())}
    assert told["Stateful address conf."] == ("Yes" if mode == "dhcpv6" else "No")
    assert told["Stateful other conf."] == ("No" if mode == "slaac" else "Yes")
    assert told["Prefix"] == SUBNET6
    assert told["Autonomous address conf."] == ("No" if mode == "dhcpv6" else "Yes")
    assert told["Router lifetime"].split()[0] == "900"
    assert told["MTU"].split()[0] == "1400"
    assert told["Recursive DNS server"] == "2001:db8::53"
    assert {"a.example", "b.example"} <= {word.rstrip(".") for word in said.split()}
    mac = router_mac(host, guest)
    assert told["Source link-layer address"].lower() == mac
    assert f"from {link_local(mac)}" in said


def test_the_kernel_makes_its_address_and_a_default_route(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "slaac")
    guest.room.ip(f"link set {LINK} down", f"link set {LINK} up")
    guest.awaits_address(f"{guest.address6}/64", "inet6")
    guest.awaits_default_route(link_local(router_mac(host, guest)), "-6")


def test_a_private_guest_has_no_default_router(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "slaac", PRIVATE="yes")
    guest.room.ip(f"link set {LINK} down", f"link set {LINK} up")
    guest.awaits_address(f"{guest.address6}/64", "inet6")
    assert [route for route in guest.routes("-6") if route["dst"] == "default"] == []


def test_routers_are_told_of_again_and_again(guest: Guest, host: Host, daemon: Daemon) -> None:
    """A guest that has never asked has its address after a period."""
    guest.room.sysctl(f"ipv6.conf.{LINK}.router_solicitations=0")
    guest.room.ip(f"link set {LINK} down", f"link set {LINK} up")
    host.bind(guest, **BINDING)
    daemon.configure(ipv6={"mode": "slaac", "ra_period": 4})
    daemon.start()
    guest.awaits_address(f"{guest.address6}/64", "inet6")


def test_neighbours_of_a_routed_guest_are_behind_the_router(host: Host, daemon: Daemon) -> None:
    """Whoever else is in the /64 is reached through the node, and so is the gateway by its name."""
    guest = host.guest(bridged=False)
    serve(daemon, host, guest, "slaac")
    guest.room.ip(f"address add {guest.address6}/64 dev {LINK} nodad")
    for target in ("2001:db8:5::99", GATEWAY6, link_local(router_mac(host, guest))):

        def found(target: str = target) -> str | None:
            guest.room.run(["sh", "-c", f"ping -6 -c 1 -W 1 -I {LINK} {target} || true"])
            neighbours = json.loads(guest.room.run(["ip", "-6", "-j", "neigh", "show", "dev", LINK]))
            return {each["dst"]: each.get("lladdr") for each in neighbours}.get(target)

        assert wait_for(f"neighbour {target}", found) == router_mac(host, guest)


def test_neighbours_in_a_bridge_answer_for_themselves(host: Host, daemon: Daemon) -> None:
    first, second = (host.guest(bridged=True) for _ in range(2))
    serve(daemon, host, first, "slaac")
    for guest in (first, second):
        guest.room.ip(f"address add {guest.address6}/64 dev {LINK} nodad")
    assert " 0% packet loss" in first.room.run(["ping", "-6", "-c", "1", "-W", "20", second.address6])
    assert second.mac in first.room.run(["ip", "-6", "neigh", "show", second.address6])


def test_beyond_its_network_there_is_no_neighbour(host: Host, daemon: Daemon) -> None:
    guest = host.guest(bridged=False)
    serve(daemon, host, guest, "slaac")
    guest.room.ip(f"address add {guest.address6}/64 dev {LINK} nodad", f"route add 2001:db8:9::/64 dev {LINK}")
    guest.room.run(["sh", "-c", "ping -6 -c 1 -W 1 2001:db8:9::1 || true"])
    daemon.awaits_count("ns other_target")
    assert "lladdr" not in guest.room.run(["ip", "-6", "neigh", "show", "2001:db8:9::1"])


def test_a_guest_may_have_its_own_address(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "slaac")
    assert "dadfailed" not in detected(guest, guest.address6)


def test_a_routed_guest_may_not_have_the_routers_address(host: Host, daemon: Daemon) -> None:
    guest = host.guest(bridged=False)
    serve(daemon, host, guest, "slaac")
    assert "dadfailed" in detected(guest, GATEWAY6)


def detected(guest: Guest, wanted: str) -> str:
    """What the guest's kernel says of the address *wanted*, which it gets now, when it has looked for duplicates."""
    # Three times, a second each: an answer may come late where other work is done.
    guest.room.sysctl(f"ipv6.conf.{LINK}.accept_dad=1", f"ipv6.conf.{LINK}.dad_transmits=3")
    guest.room.ip(f"address add {wanted}/64 dev {LINK}")

    def settled() -> str | None:
        said = guest.room.run(["ip", "-6", "address", "show", "dev", LINK])
        [line] = [line for line in said.splitlines() if f"inet6 {wanted}/64" in line]
        return None if "tentative" in line and "dadfailed" not in line else line

    return wait_for("the end of the detection", settled) or ""


@pytest.mark.parametrize("more", [{}, {"IP6": ADDRESS6}], ids=["from the MAC", "of the binding"])
def test_dhclient_leases_an_address(more: dict[str, str], guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "dhcpv6", **more)
    client = Dhclient(guest.room)
    client.start("-6")
    told = client.awaited("BOUND6")
    assert told["new_ip6_address"] == more.get("IP6", guest.address6)
    assert told["new_dhcp6_name_servers"] == "2001:db8::53"
    assert told["new_dhcp6_domain_search"].replace(". ", " ").rstrip(".") == "a.example b.example"


def test_dhclient_asks_for_the_rest_alone(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "slaac+dhcpv6")
    client = Dhclient(guest.room)
    client.start("-6", "-S")
    told = client.awaited("BOUND6", "RENEW6")
    assert (told["new_dhcp6_name_servers"], "new_ip6_address" in told) == ("2001:db8::53", False)


def test_dhclient_renews(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "dhcpv6", LEASE_TIME="40", RENEWAL_TIME="3")
    client = Dhclient(guest.room)
    client.start("-6")
    assert client.awaited("BOUND6")["new_ip6_address"] == guest.address6
    assert client.awaited("RENEW6")["new_ip6_address"] == guest.address6


def test_dhclient_confirms_and_releases(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "dhcpv6")
    client = Dhclient(guest.room)
    client.start("-6")
    client.awaited("BOUND6")
    client.awaits_kept()
    client.stop()
    before = len(client.events())
    client.start("-6")
    client.awaited("REBIND6", "BOUND6", after=before)
    client.stop()
    guest.room.run(client.command("-6", "-r", "-1"), timeout_s=30)
    daemon.awaits_count("dhcp6 reply_confirm")
    daemon.awaits_count("dhcp6 reply_release")


def test_dhclient_declines_what_somebody_has(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "dhcpv6")
    client = DhclientRefusing(guest.room)
    client.start("-6")
    daemon.awaits_count("dhcp6 reply_decline")
    assert guest.address6 in daemon.said


def test_dhcpcd_leases_an_address(guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, "dhcpv6")
    client = Dhcpcd(guest.room)
    client.start("-6")
    told = client.awaited("BOUND6")
    assert (told["new_dhcp6_ia_na1_ia_addr1"], told["new_dhcp6_name_servers"]) == (guest.address6, "2001:db8::53")
    guest.awaits_address(f"{guest.address6}/128", "inet6")


@pytest.mark.parametrize(("mode", "prefix"), [("slaac", 64), ("slaac+dhcpv6", 64), ("dhcpv6", 128)])
def test_networkd_does_what_the_router_says(mode: str, prefix: int, guest: Guest, host: Host, daemon: Daemon) -> None:
    serve(daemon, host, guest, mode)
    client = Networkd(guest.room)
    client.start(NETWORKD)
    guest.awaits_address(f"{guest.address6}/{prefix}", "inet6")
    guest.awaits_default_route(link_local(router_mac(host, guest)), "-6")
