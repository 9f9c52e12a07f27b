# SPDX-License-Identifier: BSD-2-Clause
"""Names of routing tables, messages of netlink and frames that announce: what is decided without a kernel."""

from __future__ import annotations

import errno
import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import Ether

from ganeti_cloud import netlink
from ganeti_cloud.errors import RequestError
from kvm_ifup.linking import announcing, tables
from kvm_ifup.linking.bridged import tap_mac
from kvm_ifup.linking.links import vlans_of
from kvm_ifup.port import Vlans

MAC = bytes.fromhex("525400000101")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, str]:
    """Of the administrator, and of the package."""
    etc, usr = tmp_path / "etc", tmp_path / "usr"
    (etc / "rt_tables.d").mkdir(parents=True)
    usr.mkdir()
    (etc / "rt_tables").write_text(
        "# a comment\n255\tlocal\n100 public # the first\n\nnonsense\n0x65 hex\n1 2 3\nx y\n"
    )
    (etc / "rt_tables.d/more.conf").write_text("200 private\n")
    (etc / "rt_tables.d/more.conf~").write_text("201 backup\n")
    (etc / "rt_tables.d/.hidden.conf").write_text("202 hidden\n")
    (usr / "rt_tables").write_bytes(b"300 packaged\n99 public\n301 \xff\xfe\n")
    return str(etc), str(usr)


@pytest.mark.parametrize(
    ("table", "number"),
    [
        ("100", 100),
        ("4294967295", 4294967295),
        ("main", 254),
        ("default", 253),
        ("public", 100),
        ("hex", 101),
        ("private", 200),
        ("packaged", 300),
    ],
)
def test_tables_have_numbers_and_names(folders: tuple[str, str], table: str, number: int) -> None:
    assert tables.number(table, folders) == number


@pytest.mark.parametrize(
    "table", ["", "0", "255", "local", "4294967296", "-1", "backup", "hidden", "y", "a b", "²", "$(id)"]
)
def test_what_is_no_table_for_guests_is_refused(folders: tuple[str, str], table: str) -> None:
    with pytest.raises(RequestError) as refusal:
        tables.number(table, folders)
    assert str(refusal.value) == f"{table!r} is not a routing table that guests can use"


def test_without_files_there_are_numbers_and_built_in_names(tmp_path: Path) -> None:
    assert tables.number("main", (str(tmp_path / "nothing"),)) == tables.MAIN
    with pytest.raises(RequestError):
        tables.number("public", (str(tmp_path / "nothing"),))


def test_an_arp_announcement_is_what_scapy_makes() -> None:
    address = "198.51.100.10"
    made = announcing.announcement(IPv4Address(address), MAC)
    packet = Ether(made)
    arp = packet["ARP"]
    assert (packet.dst, packet.src, packet.type) == ("ff:ff:ff:ff:ff:ff", MAC.hex(":"), 0x0806)
    assert (arp.hwtype, arp.ptype, arp.hwlen, arp.plen, arp.op) == (1, 0x0800, 6, 4, 1)
    assert (arp.hwsrc, arp.psrc, arp.hwdst, arp.pdst) == (MAC.hex(":"), address, "00:00:00:00:00:00", address)
    assert len(made) == 42


@pytest.mark.parametrize("address", ["2001:db8:5::10", "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe"])
def test_a_neighbour_advertisement_is_what_scapy_makes(address: str) -> None:
    expected = (
        Ether(dst="33:33:00:00:00:01", src=MAC.hex(":"))
        / IPv6(src=address, dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=address, R=0, S=0, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=MAC.hex(":"))
    )
    assert announcing.announcement(IPv6Address(address), MAC) == bytes(expected)


@pytest.mark.parametrize(("guest", "tap"), [("525400000101", "fe5400000101"), ("fe5400000101", "fa5400000101")])
def test_a_tap_has_not_the_mac_of_its_guest(guest: str, tap: str) -> None:
    assert tap_mac(bytes.fromhex(guest)) == bytes.fromhex(tap)


def test_vlans_as_the_kernel_has_them() -> None:
    assert vlans_of(Vlans(5, (5, 6))) == {(5, 6), (6, 0)}
    assert vlans_of(Vlans(None, (6, 7))) == {(6, 0), (7, 0)}
    assert vlans_of(Vlans()) == set()


def message(body: bytes, *, length: int | None = None, kind: int = 16, flags: int = 0, sequence: int = 7) -> bytes:
    size = 16 + len(body) if length is None else length
    return struct.pack("=IHHII", size, kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def test_messages_come_one_after_another() -> None:
    data = message(b"abc") + message(b"", kind=3)
    assert [(each.kind, each.sequence, each.body) for each in netlink.messages(data)] == [(16, 7, b"abc"), (3, 7, b"")]


@pytest.mark.parametrize("data", [b"", b"\1\2\3", message(b"abcd", length=0), message(b"abcd", length=15)])
def test_what_is_no_message_ends_them(data: bytes) -> None:
    assert list(netlink.messages(data)) == []


def test_attributes_are_what_was_encoded() -> None:
    body = netlink.text(3, "tap0") + netlink.number(4, 1500) + netlink.attribute(0x8000 | 12, b"abc")
    assert len(body) % 4 == 0
    found = netlink.attributes(b"head" + body, 4)
    assert found == {3: b"tap0\0", 4: (1500).to_bytes(4, "little"), 12: b"abc"}
    assert (netlink.as_text(found[3]), netlink.as_number(found[4])) == ("tap0", 1500)
    assert (netlink.as_text(None), netlink.as_number(None), netlink.as_number(b"\1")) == ("", 0, 0)


@pytest.mark.parametrize("length", [0, 3])
def test_an_attribute_that_is_too_short_ends_them(length: int) -> None:
    body = netlink.number(4, 1500) + struct.pack("=HH", length, 5) + netlink.number(6, 1)
    assert list(netlink.attributes(body)) == [4]


def test_the_kernels_own_words_are_in_the_error() -> None:
    request = message(b"\0" * 8, kind=24)
    error = struct.pack("=i", -errno.EINVAL) + request + netlink.text(1, "Nexthop has invalid gateway")
    whole = netlink.Message(2, 0x200, 1, error)
    assert netlink._reason(whole) == "Nexthop has invalid gateway"
    capped = struct.pack("=i", -errno.EINVAL) + request[:16] + netlink.text(1, "short")
    assert netlink._reason(netlink.Message(2, 0x300, 1, capped)) == "short"
    assert netlink._reason(netlink.Message(2, 0, 1, capped)) == ""
