# SPDX-License-Identifier: BSD-2-Clause
"""The tests of this folder against a server that is known to be good: what fails here is wrong with the tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.network.clients import Client, Dhclient, Dhcpcd, Networkd, Udhcpc
from tests.network.daemon import dnsmasq
from tests.network.node import EVERYTHING, GATEWAY, SUBNET, Guest, Host

OPTIONS = [
    "--dhcp-option=6,192.0.2.53,192.0.2.54",
    "--dhcp-option=26,1400",
    "--dhcp-option=42,192.0.2.123",
    "--dhcp-option=119,a.example,b.example",
    f"--dhcp-option=121,10.0.0.0/8,{SUBNET[9]},0.0.0.0/0,{GATEWAY}",
    "--domain=example.com",
]


@pytest.mark.parametrize("kind", [Udhcpc, Dhclient, Dhcpcd, Networkd])
def test_each_client_tells_all_that_it_was_told(kind: type[Client], guest: Guest, host: Host) -> None:
    with dnsmasq(host, guest, *OPTIONS):
        client = kind(guest.room)
        client.start()
        told = client.told()
    assert told == replace(EVERYTHING, server=str(SUBNET[2]), lease_s=200)


def test_a_client_without_a_server_is_told_nothing(host: Host) -> None:
    client = Udhcpc(host.guest(bridged=False).room)
    client.start("-n", "-t", "2")
    assert client.program
    assert client.program.ended().status == 1
    assert client.names() == ["deconfig", "leasefail"]
