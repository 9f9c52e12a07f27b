# SPDX-License-Identifier: BSD-2-Clause
"""Real Debian guests, deployed on clones by ``gnt-instance add``, booted, and asked over their consoles.

All guests are deployed once, two at a time; the tests look at what they said.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from ganeti_cloud.process import run
from lab.images.image import GuestImage
from lab.images.spec import HOSTNAME, IMAGES, MACHINE_ID
from lab.lab import Lab
from tests.lab import snf_support
from tests.lab.snf_support import LEASES, PREFIX6, Watch, Wish
from tests.lab.support import Result

pytestmark = pytest.mark.lab

GIB = 1 << 30
PASSWORD = f"canary-{secrets.token_hex(12)}"
PERSONALITY = snf_support.personality(
    ("/etc/app/settings.conf", b"color=blue\n", "root", "mail", 0o640),
    ("/srv/deep/below/run", b"#!/bin/sh\necho ran\n", "nobody", "nogroup", 0o750),
)
FILES = "/etc/app/settings.conf /srv/deep/below/run"

# The one of networkd gets its address by DHCP, the others one from Ganeti's network. A lease is not in the command.
WISHES = {name: number for number, name in enumerate(IMAGES, start=1)}
BY_DHCP = "xfs-networkd"

QUESTIONS = {
    # Its answer is looked at by nobody: until the system is up, cloud-init writes to the same console.
    "settled": "timeout 200 systemctl is-system-running --wait; sleep 1",
    "state": "systemctl is-system-running",
    "failed": "systemctl list-units --failed --plain --no-legend",
    "hostname": "hostname",
    "hosts": "cat /etc/hosts",
    "machine-id": "cat /etc/machine-id",
    # What is said by others, a lease or a prefix, may come when the system is up already.
    "addresses": "for _ in $(seq 60); do ip address show scope global | grep -q '{awaited} ' && break; sleep 1; done;"
    " ip -j address",
    "routes": "ip -j route show default",
    "resolv": "cat /etc/resolv.conf",
    "root-bytes": "df -B1 --output=size / | tail -n1",
    "mounts": "findmnt --list --noheadings --output=TARGET --types=ext4,xfs,btrfs",
    "swap": "swapon --noheadings --raw --show=NAME",
    "files": f"stat --format='%n %a %U %G %s' {FILES}",
    "ran": "/srv/deep/below/run",
    "shadow": "getent shadow root | cut -d: -f2 | cut -c1-3",
    "keys": "stat --format='%a %U' /root/.ssh /root/.ssh/authorized_keys; cat /root/.ssh/authorized_keys",
    "host-keys": "cd /etc/ssh; for key in ssh_host_*_key; do ssh-keygen -lf $key; done | cut -d' ' -f2,4",
    "sshd": "systemctl is-active ssh",
    "cloud-init": "cloud-init status --wait",
}


@dataclass(frozen=True)
class Deployed:
    """One guest after its deployment: how long it took, and what it answered."""

    wish: Wish
    add_s: float
    boot_s: float
    said: Mapping[str, str]
    by_key: Result  # `hostname` over SSH

    @property
    def links(self) -> list[dict[str, Any]]:
        """All network interfaces but the one to itself."""
        return [link for link in json.loads(self.said["addresses"]) if link["ifname"] != "lo"]

    @property
    def addresses(self) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        """All that are good beyond the link."""
        found = [each for link in self.links for each in link["addr_info"] if each["scope"] == "global"]
        return [ipaddress.ip_address(each["local"]) for each in found]


@dataclass(frozen=True)
class Cloud:
    """A lab with images, a network, and a key that opens guests."""

    lab: Lab
    images: Mapping[str, GuestImage]
    key: str

    def wish(self, image: str, number: int, **public: str) -> Wish:
        nic = "link=br-lan" if image == BY_DHCP else f"network={snf_support.NETWORK},ip={address(number)}"
        secret = {"img_passwd": PASSWORD, "img_personality": PERSONALITY}
        given = {"auth_keys": self.key, **public}
        return Wish(image=IMAGES[image], number=number, nic=nic, public=given, secret=secret)

    def add(self, wish: Wish, *more: str) -> float:
        """Deploy and start; returns the seconds that took."""
        begin = time.monotonic()
        argv = snf_support.add_command(self.lab, wish, self.images[wish.image.name], *more)
        self.lab.master.run(argv, timeout_s=snf_support.JOB_S)
        return time.monotonic() - begin

    def deploy(self, image: str) -> Deployed:
        """Deploy, boot, ask everything, and remove it again."""
        wish = self.wish(image, WISHES[image])
        try:
            add_s, begin = self.add(wish), time.monotonic()
            with snf_support.shell(self.lab, wish, PASSWORD) as shell:
                boot_s = time.monotonic() - begin
                said = {name: shell.ask(asked, timeout_s=240) for name, asked in questions(image).items()}
            deployed = Deployed(wish, add_s, boot_s, said, Result(1, "", "", 0))
            [where] = [str(each) for each in deployed.addresses if each.version == 4]
            by_key = snf_support.ssh(self.lab, where, "hostname")
        finally:
            snf_support.remove(self.lab, wish.name)
        return Deployed(wish, add_s, boot_s, said, by_key)


def questions(image: str) -> dict[str, str]:
    """What the guest from *image* is asked."""
    awaited = "inet" if image == BY_DHCP else "inet6"
    return {**QUESTIONS, "addresses": QUESTIONS["addresses"].replace("{awaited}", awaited)}


def address(number: int) -> str:
    return f"192.0.2.{10 + number}"


@pytest.fixture(scope="module")
def cloud(lab: Lab) -> Iterator[Cloud]:
    with snf_support.network(lab), snf_support.images(lab) as images:
        yield Cloud(lab, images, snf_support.make_key(lab))


@pytest.fixture(scope="module")
def watch(cloud: Cloud) -> Iterator[Watch]:
    with snf_support.watched(cloud.lab, PASSWORD) as watch:
        yield watch


@pytest.fixture(scope="module")
def deployments(cloud: Cloud, watch: Watch) -> Iterator[Mapping[str, Future[Deployed]]]:
    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(cloud.deploy, name) for name in IMAGES}
        pool.shutdown(cancel_futures=True)


@pytest.fixture(params=IMAGES)
def guest(request: pytest.FixtureRequest, deployments: Mapping[str, Future[Deployed]]) -> Deployed:
    return deployments[request.param].result(timeout=1200)


def test_the_guest_is_up_and_nothing_in_it_failed(guest: Deployed) -> None:
    assert (guest.said["state"], guest.said["failed"]) == ("running", "")


def test_its_name_is_the_instances(guest: Deployed) -> None:
    assert guest.said["hostname"] in (guest.wish.name, guest.wish.name.partition(".")[0])
    assert HOSTNAME not in guest.said["hosts"]
    assert guest.wish.name.partition(".")[0] in guest.said["hosts"]


def test_the_password_is_set_by_a_hash(guest: Deployed) -> None:
    """That it works was shown by the console, which was opened with it."""
    assert guest.said["shadow"] in ("$6$", "$y$")


def test_the_key_opens_it(guest: Deployed) -> None:
    assert (guest.by_key.status, guest.by_key.stdout.strip()) == (0, guest.said["hostname"]), guest.by_key


def test_the_key_is_there_once_and_nobody_elses(guest: Deployed, cloud: Cloud) -> None:
    folder, file, *lines = guest.said["keys"].splitlines()
    assert (folder, file) == ("700 root", "600 root")
    assert lines.count(cloud.key) == 1


def test_its_host_keys_are_its_own(guest: Deployed, cloud: Cloud) -> None:
    keys = [line.split() for line in guest.said["host-keys"].splitlines()]
    assert {"(ED25519)", "(ECDSA)"} <= {kind for _, kind in keys}
    sums = {told for told, _ in keys}
    tree = cloud.images[guest.wish.image.name].tree
    for kind in ("ed25519", "ecdsa", "rsa"):
        old = run(["tar", "-xOf", str(tree), f"./etc/ssh/ssh_host_{kind}_key.pub"], timeout_s=60)
        assert run(["ssh-keygen", "-lf", "-"], stdin=old, timeout_s=30).split()[1] not in sums
    assert guest.said["sshd"] == "active"


def test_its_machine_id_is_its_own(guest: Deployed) -> None:
    found = guest.said["machine-id"]
    assert (len(bytes.fromhex(found)), found == MACHINE_ID) == (16, False)


def test_the_root_has_grown_with_the_disk(guest: Deployed) -> None:
    assert 3.5 * GIB < int(guest.said["root-bytes"]) <= 4 * GIB


def test_what_fstab_names_is_mounted(guest: Deployed) -> None:
    more = {"btrfs-nm": ["/home"], "lvm-netplan": ["/boot"]}.get(guest.wish.image.name, [])
    assert sorted(guest.said["mounts"].split()) == ["/", *more]
    assert (guest.said["swap"] != "") is (guest.wish.image.name == "xfs-networkd")


def test_its_address_is_the_one_that_ganeti_gave_it(guest: Deployed) -> None:
    found = [each for each in guest.addresses if each.version == 4]
    if guest.wish.image.name == BY_DHCP:
        first, last = (ipaddress.IPv4Address(each) for each in LEASES)
        assert [first <= each <= last for each in found] == [True]
        return
    assert [str(each) for each in found] == [address(guest.wish.number)]
    assert [route["gateway"] for route in json.loads(guest.said["routes"])] == [snf_support.GATEWAY]


def test_its_ipv6_address_is_made_from_its_mac(guest: Deployed) -> None:
    """What filters the traffic of guests knows no other."""
    [link] = guest.links
    # The network of the one that asks DHCP has no router.
    expected = [] if guest.wish.image.name == BY_DHCP else [from_mac(link["address"])]
    assert [str(each) for each in guest.addresses if each.version == 6] == expected


def from_mac(mac: str) -> str:
    """The address with the interface identifier of RFC 4291, appendix A."""
    raw = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([raw[0] ^ 2]) + raw[1:3] + b"\xff\xfe" + raw[3:]
    return str(ipaddress.IPv6Network(PREFIX6)[int.from_bytes(identifier)])


def test_files_are_put_into_it(guest: Deployed) -> None:
    assert guest.said["files"].splitlines() == [
        "/etc/app/settings.conf 640 root mail 11",
        "/srv/deep/below/run 750 nobody nogroup 19",
    ]
    assert guest.said["ran"] == "ran"


def test_cloud_init_did_its_part_where_it_is(guest: Deployed) -> None:
    if guest.wish.image.cloud_init:
        assert guest.said["cloud-init"].splitlines()[-1] == "status: done"
    else:
        assert "not found" in guest.said["cloud-init"]


def test_the_password_was_in_no_process(deployments: Mapping[str, Future[Deployed]], watch: Watch) -> None:
    for each in deployments.values():
        each.result(timeout=1200)
    assert watch.rounds > 50
    assert watch.helpers != set()
    assert watch.leaks == set()


def test_the_password_is_in_no_file(cloud: Cloud, deployments: Mapping[str, Future[Deployed]]) -> None:
    for each in deployments.values():
        each.result(timeout=1200)
    assert {node.name: snf_support.files_with(node, PASSWORD) for node in cloud.lab.ganeti_nodes} == {
        node.name: [] for node in cloud.lab.ganeti_nodes
    }


def test_deployments_leave_nothing_on_the_nodes(cloud: Cloud, deployments: Mapping[str, Future[Deployed]]) -> None:
    for each in deployments.values():
        each.result(timeout=1200)
    assert {node.name: snf_support.traces(node) for node in cloud.lab.ganeti_nodes} == {
        node.name: [] for node in cloud.lab.ganeti_nodes
    }


def test_without_tasks_there_is_no_helper_machine(cloud: Cloud) -> None:
    wish = cloud.wish("ext4-ifupdown", 8, img_properties='{"EXCLUDE_ALL_TASKS":"yes"}')
    try:
        with snf_support.watched(cloud.lab, PASSWORD) as watch:
            cloud.add(wish, "--no-start")
    finally:
        snf_support.remove(cloud.lab, wish.name)
    assert watch.rounds > 1
    assert watch.helpers == set()


@pytest.mark.one_release(
    "trixie", "That either Ganeti has the image copied again, and deployed, is shown by test_snf_provider.py."
)
def test_a_reinstalled_guest_has_nothing_of_the_one_before(cloud: Cloud) -> None:
    """With the image copied again, and another password: that of before is not taken any more."""
    wish, again = cloud.wish("ext4-ifupdown", 9), f"canary-{secrets.token_hex(12)}"
    gnt = cloud.lab.master
    try:
        cloud.add(wish)
        with snf_support.shell(cloud.lab, wish, PASSWORD) as shell:
            shell.ask("echo mine > /root/mine; rm /etc/app/settings.conf; sync")
        gnt.run(["gnt-instance", "shutdown", "--timeout=0", wish.name], timeout_s=snf_support.JOB_S)
        argv = ["gnt-instance", "reinstall", "-f", "-O", "img_id=archipelago:ext4-ifupdown"]
        argv += [
            "--os-parameters-secret",
            snf_support.parameters({"img_passwd": again, "img_personality": PERSONALITY}),
        ]
        gnt.run([*argv, wish.name], timeout_s=snf_support.JOB_S)
        gnt.run(["gnt-instance", "start", wish.name], timeout_s=snf_support.JOB_S)
        with snf_support.shell(cloud.lab, wish, again) as shell:
            assert shell.ask("ls /root") == ""
            assert shell.ask("cat /etc/app/settings.conf") == "color=blue"
            grown = int(shell.ask("df -B1 --output=size / | tail -n1"))
    finally:
        snf_support.remove(cloud.lab, wish.name)
    assert grown > 3.5 * GIB
