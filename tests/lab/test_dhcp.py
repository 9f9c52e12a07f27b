# SPDX-License-Identifier: BSD-2-Clause
"""A real guest of each release of Debian gets its addresses at boot from the daemon of its node, and from nobody else.

Its NIC is in a bridge on which there is no other server.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from lab.guest_shell import GuestShell
from lab.images.spec import IMAGES
from lab.lab import Lab
from lab.node import Node
from tests.lab import snf_support
from tests.lab.snf_support import Wish

pytestmark = pytest.mark.lab

IMAGE = "xfs-networkd"
PASSWORD = f"canary-{secrets.token_hex(12)}"

ADDRESS, SUBNET, GATEWAY = "198.51.100.17", "198.51.100.0/24", "198.51.100.1"
SUBNET6, NAMESERVER = "2001:db8:17::/64", "192.0.2.53"
HOSTNAME = "of-the-binding"

# The guest's own network settings: it takes whatever it is told.
_NETWORK = b"[Match]\nType=ether\n\n[Network]\nDHCP=yes\nIPv6AcceptRA=yes\n\n[DHCPv4]\nUseMTU=yes\n"

_ADDRESSES = "for _ in $(seq 60); do ip address show scope global | grep -q '{awaited} ' && break; sleep 1; done"


@dataclass(frozen=True)
class Booted:
    """A guest that is up, its node, and what it said before anything else was done."""

    node: Node
    tap: str
    mac: str
    shell: GuestShell
    links: list[dict[str, Any]]

    @property
    def addresses(self) -> set[str]:
        return {
            f"{each['local']}/{each['prefixlen']}"
            for link in self.links
            for each in link["addr_info"]
            if each["scope"] == "global"
        }


@pytest.fixture(scope="module")
def booted(lab: Lab) -> Iterator[Booted]:
    """A guest whose binding is written while it boots, as an interface script does."""
    settings = snf_support.personality(("/etc/systemd/network/10-any.network", _NETWORK, "root", "root", 0o644))
    public = {"img_properties": '{"EXCLUDE_TASK_CONFIGURENETWORK":"yes"}', "img_personality": settings}
    secret = {"img_passwd": PASSWORD}
    wish = Wish(image=IMAGES[IMAGE], number=17, nic="link=br-lan", public=public, secret=secret)
    with snf_support.images(lab, (IMAGE,)) as images:
        tap = ""
        try:
            argv = snf_support.add_command(lab, wish, images[IMAGE])
            lab.master.run(argv, timeout_s=snf_support.JOB_S)
            node = snf_support.primary(lab, wish.name)
            tap = node.run(["cat", f"/var/run/ganeti/kvm-hypervisor/nic/{wish.name}/0"], timeout_s=30).strip()
            asked = ["gnt-instance", "list", "--no-headers", "-o", "nic.mac/0", wish.name]
            mac = lab.master.run(asked, timeout_s=snf_support.JOB_S).strip()
            node.write(f"/var/lib/nfdhcpd/{tap}", binding(mac))
            with snf_support.shell(lab, wish, PASSWORD) as shell:
                for awaited in ("inet", "inet6"):
                    shell.ask(_ADDRESSES.replace("{awaited}", awaited), timeout_s=90)
                links = [each for each in json.loads(shell.ask("ip -j address")) if each["ifname"] != "lo"]
                yield Booted(node, tap, mac, shell, links)
        finally:
            snf_support.remove(lab, wish.name)
            if tap:
                node.run(["rm", "-f", f"/var/lib/nfdhcpd/{tap}"], timeout_s=30)


def binding(mac: str) -> str:
    """Of the guest with *mac*."""
    keys = {"MAC": mac, "INDEV": "br-lan", "HOSTNAME": HOSTNAME, "IP": ADDRESS, "SUBNET": SUBNET, "GATEWAY": GATEWAY}
    keys |= {"NAMESERVERS": NAMESERVER, "DOMAIN": "lab.test", "MTU": "1400", "SUBNET6": SUBNET6}
    return "".join(f"{key}={value}\n" for key, value in keys.items())


def rows(node: Node) -> Mapping[str, Any]:
    """What ``nfdhcpd leases`` shows, by tap."""
    return {row["tap"]: row for row in json.loads(node.run(["nfdhcpd", "leases", "--json"], timeout_s=30))}


def told_at(node: Node, tap: str) -> float:
    """When the guest behind *tap* was told of its address last: by an ACK, which an OFFER may have come before."""
    seen = rows(node)[tap]["seen"]
    return max(float(at) for outcome, at in seen.items() if outcome in {"dhcp4 ack", "dhcp4 ack_rapid_commit"})


def test_it_has_the_addresses_of_its_binding(booted: Booted) -> None:
    raw = bytes.fromhex(booted.mac.replace(":", ""))
    identifier = bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]  # RFC 4291, appendix A
    own = ipaddress.IPv6Network(SUBNET6)[int.from_bytes(identifier)]
    assert booted.addresses == {f"{ADDRESS}/24", f"{own}/64"}


def test_its_default_route_and_name_server_are_those_of_its_binding(booted: Booted) -> None:
    routes = json.loads(booted.shell.ask("ip -j route show default"))
    assert [route["gateway"] for route in routes] == [GATEWAY]
    lease = booted.shell.ask("cat /run/systemd/netif/leases/*").splitlines()
    assert {f"DNS={NAMESERVER}", "DOMAINNAME=lab.test", "MTU=1400"} <= set(lease)


def test_the_daemon_tells_of_it(booted: Booted) -> None:
    row = rows(booted.node)[booted.tap]
    assert (row["mac"], row["ip"], row["hostname"]) == (booted.mac, ADDRESS, HOSTNAME)
    assert told_at(booted.node, booted.tap) > 0
    journal = booted.node.run(["journalctl", "--no-pager", "--output=cat", "--unit=nfdhcpd"], timeout_s=30)
    assert f"{booted.tap}: got its address (MAC {booted.mac}, address {ADDRESS}, host {HOSTNAME})" in journal


def test_a_restart_of_the_daemon_is_not_felt(booted: Booted) -> None:
    before = told_at(booted.node, booted.tap)
    booted.node.run(["systemctl", "restart", "nfdhcpd"], timeout_s=60)
    assert told_at(booted.node, booted.tap) == before
    name = booted.links[0]["ifname"]
    # Not `renew`: that asks by way of the gateway, which is not there.
    booted.shell.ask(f"networkctl reconfigure {name} && sleep 5")
    assert told_at(booted.node, booted.tap) > before
    assert f"{ADDRESS}/24" in booted.shell.ask("ip -color=never address show scope global")
