# SPDX-License-Identifier: BSD-2-Clause
"""The connection to the kernel's tables, in a network of its own."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from ganeti_cloud.errors import CloudError
from ganeti_cloud.netlink import Connection
from ganeti_cloud.process import run
from kvm_ifup.linking import links, neighbours, routes, sysctls
from kvm_ifup.linking.failing import kernel
from kvm_ifup.linking.part import LinkPart
from kvm_ifup.linking.routes import Route, Rule
from tests.unit.netspace import own_network

pytestmark = pytest.mark.host_tools


def ip(*commands: str) -> None:
    run(["ip", "-batch", "-"], timeout_s=20, stdin="".join(f"{each}\n" for each in commands))


@pytest.fixture
def connection() -> Iterator[Connection]:
    with own_network(), Connection() as made:
        yield made


def test_interfaces_are_what_they_are(connection: Connection) -> None:
    ip("link add br0 type bridge", "link add tap0 type veth peer name guest", "link set tap0 master br0 mtu 1400 up")
    ip("link set tap0 address fe:54:00:00:00:01")
    tap, bridge = links.found(connection, "tap0"), links.found(connection, "br0")
    assert tap is not None and bridge is not None
    assert (tap.name, tap.mac.hex(), tap.mtu, tap.is_up, tap.kind) == ("tap0", "fe5400000001", 1400, True, "veth")
    assert (tap.master, bridge.kind, bridge.is_up, bridge.filters_vlans) == (bridge.number, "bridge", False, False)
    assert links.found(connection, "tap") is None
    assert links.at(connection, tap.number) == tap
    assert links.all_by_index(connection)[tap.number] == tap


def test_the_kernels_reason_is_told(connection: Connection) -> None:
    ip("link add tap0 type bridge", "link set tap0 up")
    with pytest.raises(CloudError, match=r"^tap0: connecting it: mtu greater than device maximum$") as refusal:
        with kernel("tap0: connecting it") as inner:
            tap = links.found(inner, "tap0")
            assert tap is not None
            links.address(inner, tap.number, mac=tap.mac, mtu=1 << 30)
    assert refusal.value.hint == "dmesg and ip -details link show may tell more"


def test_a_thousand_routes_are_all_found(connection: Connection) -> None:
    ip("link add tap0 type bridge", "link set tap0 up")
    tap = links.found(connection, "tap0")
    assert tap is not None
    addresses = [IPv4Address("10.0.0.0") + number for number in range(1000)]
    for address in addresses:
        assert routes.add_route(connection, 100, address, tap.number)
    ip("route add 192.0.2.0/24 dev tap0 table 100")
    assert set(routes.routes(connection, socket.AF_INET)) == {Route(100, each, tap.number) for each in addresses}
    assert routes.routes(connection, socket.AF_INET, 101) == []
    assert routes.uplink(connection, socket.AF_INET, 100) == 0
    ip("route add default dev tap0 table 100")
    assert routes.uplink(connection, socket.AF_INET, 100) == tap.number


@pytest.mark.parametrize("address", [IPv4Address("198.51.100.10"), IPv6Address("2001:db8:5::10")], ids=["v4", "v6"])
def test_of_several_default_routes_the_first_holds(connection: Connection, address: routes.Address) -> None:
    ip("link add one type bridge", "link add two type bridge", "link set one up", "link set two up")
    family, version = routes.family_of(address), address.version
    for command in (
        "add unreachable default metric 4000",
        "add default dev two metric 300",
        "add default dev one metric 200",
    ):
        run(["ip", f"-{version}", "route", *command.split(), "table", "100"], timeout_s=20)
    one = links.found(connection, "one")
    assert one is not None
    assert routes.uplink(connection, family, 100) == one.number
    assert routes.uplink(connection, family, 101) == 0
    via = ["via", "fe80::1"] if version == 6 else []
    both = ["nexthop", *via, "dev", "one", "nexthop", *via, "dev", "two"]
    run(["ip", f"-{version}", "route", "add", "default", "metric", "100", "table", "100", *both], timeout_s=20)
    assert routes.uplink(connection, family, 100) == 0


def test_rules_and_proxies_of_others_are_not_seen(connection: Connection) -> None:
    ip("link add tap0 type bridge", "rule add iif tap0 lookup 100", "neigh add proxy 192.0.2.1 dev tap0")
    assert (routes.rules(connection), neighbours.proxies(connection)) == ([], [])
    ours = Rule(socket.AF_INET, "tap0", 100, 1000)
    routes.add_rule(connection, ours)
    with pytest.raises(FileExistsError):
        routes.add_rule(connection, ours)
    assert routes.rules(connection) == [ours]
    routes.remove_rules(connection, "tap0")
    assert routes.rules(connection) == []
    assert "iif tap0 lookup 100" in run(["ip", "rule"], timeout_s=20)


def test_an_order_that_is_wrong_is_refused(connection: Connection) -> None:
    with pytest.raises(OSError) as refusal:
        links.switch(connection, 4711, is_up=True)
    assert refusal.value.errno == errno.ENODEV


def test_settings_are_written_only_where_they_differ(connection: Connection) -> None:
    ip("link add tap0 type bridge")
    settings = [("ipv4/conf/{}/forwarding", "1")]
    assert sysctls.differing("tap0", settings) == "ipv4.conf.tap0.forwarding is 0 and not 1"
    sysctls.apply("tap0", settings)
    assert sysctls.differing("tap0", settings) == ""
    with pytest.raises(FileNotFoundError):
        sysctls.apply("tap1", settings)
    sysctls.apply("tap1", settings, may_be_absent=True)
    assert sysctls.read("ipv4/conf/{}/forwarding", "tap1") is None


def test_a_tap_that_is_gone_is_down(connection: Connection) -> None:
    LinkPart(1000).down("tap0")
    ip("link add tap0 type bridge", "link set tap0 up")
    LinkPart(1000).down("tap0")
    found = links.found(connection, "tap0")
    assert found is not None and not found.is_up
