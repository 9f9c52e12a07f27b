# SPDX-License-Identifier: BSD-2-Clause
"""ConfigureNetwork: which system of the guest is told, and what becomes of what the image told it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from snf_image_helper import cloud_init
from snf_image_helper.job import Nic
from snf_image_helper.network import facts
from snf_image_helper.network.aside import SUFFIX
from snf_image_helper.network.facts import Facts
from snf_image_helper.task import TaskError
from snf_image_helper.tasks import configure_network
from tests.unit.snf_guest import PLAIN_JOB, Guest, nic

WANTS = "/etc/systemd/system/multi-user.target.wants"


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    return Guest(tmp_path / "guest")


def with_ifupdown(guest: Guest) -> None:
    guest.put("/usr/sbin/ifup")
    guest.put("/usr/sbin/dhclient")
    guest.put("/etc/network/interfaces", "auto ens3\niface ens3 inet dhcp\nsource /etc/network/interfaces.d/*\n")


def with_netplan(guest: Guest) -> None:
    guest.put("/usr/sbin/netplan")
    guest.put("/etc/netplan/50-cloud-init.yaml", "network: {ethernets: {all: {match: {name: 'en*'}, dhcp4: true}}}")


def with_networkmanager(guest: Guest) -> None:
    guest.put("/usr/sbin/NetworkManager")
    guest.link(f"{WANTS}/NetworkManager.service", "/usr/lib/systemd/system/NetworkManager.service")


def with_networkd(guest: Guest) -> None:
    guest.put("/usr/lib/systemd/systemd-networkd")
    guest.link(f"{WANTS}/systemd-networkd.service", "/usr/lib/systemd/system/systemd-networkd.service")


def with_ifcfg(guest: Guest) -> None:
    guest.put("/etc/sysconfig/network-scripts/ifcfg-lo", "DEVICE=lo\n")
    guest.put("/etc/sysconfig/network-scripts/ifcfg-ens3", "DEVICE=ens3\nBOOTPROTO=dhcp\n")


def configure(guest: Guest, *nics: Nic, by_cloud: bool = False, **properties: str) -> None:
    job = PLAIN_JOB._replace(nics=nics or (nic(),), properties=properties)
    configure_network.run(guest.work(job, cloud_init=by_cloud))


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (Facts(cloud_init=True, ifcfg=True), facts.IFCFG),
        (Facts(cloud_init=True), facts.CLOUD_INIT),
        (Facts(asked=True, networkmanager=True, cloud_init=True, netplan=True), facts.NETWORKMANAGER),
        (Facts(netplan=True, networkmanager=True, networkd=True, ifupdown=True), facts.NETPLAN),
        (Facts(networkmanager=True, networkd=True, ifupdown=True, ifcfg=True), facts.NETWORKMANAGER),
        (Facts(networkd=True, ifupdown=True), facts.NETWORKD),
        (Facts(ifupdown=True, ifcfg=True), facts.IFUPDOWN),
        (Facts(ifcfg=True), facts.IFCFG),
    ],
)
def test_what_was_installed_on_purpose_goes_first(known: Facts, name: str) -> None:
    assert facts.choose(known) == name


def test_an_image_without_any_system_is_refused_with_what_is_known() -> None:
    with pytest.raises(TaskError, match="netplan, NetworkManager, systemd-networkd, ifupdown, ifcfg, cloud-init; "):
        facts.choose(Facts())


def test_networkmanager_must_be_there_when_it_is_asked_for() -> None:
    with pytest.raises(TaskError, match="^NM_NETWORKING is set, but the image has no NetworkManager$"):
        facts.choose(Facts(asked=True, netplan=True))


@pytest.mark.parametrize(
    ("make", "known"),
    [
        (with_ifupdown, Facts(ifupdown=True)),
        (with_netplan, Facts(netplan=True)),
        (with_networkmanager, Facts(networkmanager=True)),
        (with_networkd, Facts(networkd=True)),
        (with_ifcfg, Facts(ifcfg=True)),
        (lambda guest: guest.put("/usr/sbin/NetworkManager"), Facts()),
        (lambda guest: guest.put("/usr/lib/systemd/systemd-networkd"), Facts()),
        (lambda guest: guest.put("/usr/sbin/netplan"), Facts()),
        (lambda guest: guest.put("/usr/sbin/ifup"), Facts()),
    ],
)
def test_facts_are_seen(guest: Guest, make: object, known: Facts) -> None:
    guest.put("/etc/passwd")
    assert callable(make)
    make(guest)
    assert facts.look(guest.root, cloud_init=False, asked=False) == known


def test_a_masked_service_does_not_count(guest: Guest) -> None:
    with_networkd(guest)
    guest.link("/etc/systemd/system/systemd-networkd.service", "/dev/null")
    assert facts.look(guest.root, cloud_init=False, asked=False) == Facts()


def test_services_of_other_systems_count(guest: Guest) -> None:
    guest.put("/usr/sbin/NetworkManager")
    guest.put("/etc/rc2.d/S03network-manager")
    assert facts.look(guest.root, cloud_init=False, asked=False) == Facts(networkmanager=True)


def test_without_interfaces_nothing_is_done(guest: Guest) -> None:
    configure_network.run(guest.work())
    assert (guest.warnings, guest.folder.exists()) == ([], False)


def test_ifupdown(guest: Guest) -> None:
    with_ifupdown(guest)
    guest.put("/etc/network/interfaces.d/50-cloud-init", "auto ens3\n")
    guest.put("/etc/udev/rules.d/70-persistent-net.rules", 'NAME="eth0"')
    configure(guest)
    assert "iface eth0 inet static\n    address 192.0.2.7/24\n" in guest.text("/etc/network/interfaces")
    assert "ens3" in guest.text(f"/etc/network/interfaces{SUFFIX}")
    assert guest.root.names("/etc/network/interfaces.d") == [f"50-cloud-init{SUFFIX}"]
    assert guest.root.names("/etc/udev/rules.d") == [f"70-persistent-net.rules{SUFFIX}"]
    assert guest.root.exists("/etc/systemd/network/00-snf-image-eth0.link")
    assert guest.text("/etc/resolv.conf") == (
        "search example.com example.net\nnameserver 192.0.2.53\nnameserver 2001:db8::53\n"
    )
    assert guest.warnings == [
        f"the image's own network files were put aside, as *{SUFFIX}:"
        " /etc/udev/rules.d/70-persistent-net.rules, /etc/network/interfaces.d/50-cloud-init"
    ]


def test_twice_is_as_once(guest: Guest) -> None:
    with_ifupdown(guest)
    configure(guest)
    once = guest.text("/etc/network/interfaces")
    configure(guest)
    assert guest.text("/etc/network/interfaces") == once


@pytest.mark.parametrize("link", ["../run/systemd/resolve/stub-resolv.conf", "/run/resolvconf/resolv.conf"])
def test_the_resolver_of_a_service_is_left_to_it(guest: Guest, link: str) -> None:
    with_ifupdown(guest)
    guest.link("/etc/resolv.conf", link)
    configure(guest)
    assert guest.root.link_text("/etc/resolv.conf") == link


def test_resolvconf_is_left_its_file(guest: Guest) -> None:
    with_ifupdown(guest)
    guest.put("/usr/sbin/resolvconf")
    configure(guest)
    assert not guest.root.exists("/etc/resolv.conf")


def test_netplan(guest: Guest) -> None:
    with_netplan(guest)
    with_ifupdown(guest)
    configure(guest)
    path = "/etc/netplan/50-snf-image.yaml"
    assert json.loads(guest.text(path))["network"]["renderer"] == "networkd"
    assert guest.belongs(path) == (0o600, 0, 0)
    assert guest.root.names("/etc/netplan") == [f"50-cloud-init.yaml{SUFFIX}", "50-snf-image.yaml"]
    assert "eth" not in guest.text("/etc/network/interfaces")
    assert "ens3" not in guest.text("/etc/network/interfaces")


def test_netplan_by_networkmanager(guest: Guest) -> None:
    with_netplan(guest)
    with_networkmanager(guest)
    guest.put("/etc/netplan/01-network-manager-all.yaml", "network:\n  renderer: NetworkManager\n")
    configure(guest)
    assert json.loads(guest.text("/etc/netplan/50-snf-image.yaml"))["network"]["renderer"] == "NetworkManager"


def test_networkmanager(guest: Guest) -> None:
    with_networkmanager(guest)
    folder = "/etc/NetworkManager/system-connections"
    guest.put(f"{folder}/Wired connection 1.nmconnection", "[connection]\ntype=ethernet\n")
    guest.put(f"{folder}/vpn.nmconnection", "[connection]\ntype=vpn\n")
    configure(guest)
    assert guest.root.names(folder) == [
        f"Wired connection 1.nmconnection{SUFFIX}",
        "snf-image-eth0.nmconnection",
        "vpn.nmconnection",
    ]
    assert guest.belongs(f"{folder}/snf-image-eth0.nmconnection") == (0o600, 0, 0)
    assert not guest.root.exists("/etc/resolv.conf")


def test_networkd(guest: Guest) -> None:
    with_networkd(guest)
    guest.put("/etc/systemd/network/10-dhcp.network", "[Match]\nName=en*\n")
    guest.link("/etc/systemd/network/99-default.link", "/dev/null")
    configure(guest)
    assert guest.root.names("/etc/systemd/network") == [
        "00-snf-image-eth0.network",
        f"10-dhcp.network{SUFFIX}",
        "99-default.link",
    ]


def test_ifcfg(guest: Guest) -> None:
    with_ifcfg(guest)
    configure(guest)
    assert guest.root.names("/etc/sysconfig/network-scripts") == ["ifcfg-ens3" + SUFFIX, "ifcfg-eth0", "ifcfg-lo"]
    configure(guest)
    assert guest.root.names("/etc/sysconfig/network-scripts") == ["ifcfg-ens3" + SUFFIX, "ifcfg-eth0", "ifcfg-lo"]


def test_cloud_init_is_told_where_nothing_else_is_known(guest: Guest) -> None:
    guest.put("/etc/cloud/cloud.cfg")
    configure(guest, by_cloud=True)
    path = "/var/lib/cloud/seed/nocloud/network-config"
    assert json.loads(guest.text(path))["ethernets"]["eth0"]["addresses"] == ["192.0.2.7/24", "2001:db8::7/64"]
    assert guest.belongs(path) == (0o600, 0, 0)
    assert guest.belongs("/var/lib/cloud") == (0o755, 0, 0)
    assert guest.root.names("/etc/cloud") == ["cloud.cfg"]


def test_cloud_init_keeps_its_hands_off_what_we_know(guest: Guest) -> None:
    with_netplan(guest)
    configure(guest, by_cloud=True)
    text = guest.text("/etc/cloud/cloud.cfg.d/99_snf_image_network.cfg")
    assert (text, cloud_init.makes_network(guest.root)) == ("network: {config: disabled}\n", False)
    assert not guest.root.exists("/var/lib/cloud")
    assert "50-snf-image.yaml" in guest.root.names("/etc/netplan")


@pytest.mark.parametrize(
    "text", ["network: {config: disabled}\n", "network:\n  config: disabled\n", 'network: {"config": "disabled"}\n']
)
def test_a_cloud_init_that_leaves_the_network_alone_is_not_told(guest: Guest, text: str) -> None:
    guest.put("/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg", text)
    with pytest.raises(TaskError, match="^the image has none of the systems"):
        configure(guest, by_cloud=True)


def test_networkmanager_when_it_is_asked_for(guest: Guest) -> None:
    with_netplan(guest)
    guest.put("/usr/sbin/NetworkManager")
    configure(guest, by_cloud=True, NM_NETWORKING="yes")
    assert guest.root.names("/etc/NetworkManager/system-connections") == ["snf-image-eth0.nmconnection"]


def test_a_word_that_is_neither_yes_nor_no_is_refused(guest: Guest) -> None:
    with pytest.raises(TaskError, match="^NM_NETWORKING='perhaps': write yes or no$"):
        configure(guest, NM_NETWORKING="perhaps")


def test_an_ifupdown_without_a_client_is_told_of(guest: Guest) -> None:
    with_ifupdown(guest)
    guest.root.remove("/usr/sbin/dhclient")
    guest.put("/sbin/udhcpc")
    configure(guest, nic("dhcp", "slaac_dhcp"))
    warning = "eth0: the image has no client for DHCPv6 that ifupdown knows: install isc-dhcp-client in it"
    assert warning in guest.warnings
    assert "inet6 auto\n    privext 0\n    dhcp 0\n" in guest.text("/etc/network/interfaces")
    guest.root.remove("/sbin/udhcpc")
    configure(guest, nic("dhcp", "none"))
    assert warning.replace("v6", "v4") in guest.warnings
