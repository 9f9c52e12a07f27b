# SPDX-License-Identifier: BSD-2-Clause
"""VLANs of a bridge's ports, in the kernel; one that does not filter VLANs at all skips these."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator

import pytest

from ganeti_cloud.errors import CommandError
from ganeti_cloud.process import run
from kvm_ifup.linking.part import LinkPart
from kvm_ifup.port import BridgePort, Vlans
from tests.unit.kvm_ifup_ports import port
from tests.unit.netspace import own_network

pytestmark = pytest.mark.host_tools

PART = LinkPart(1000)


def ip(*commands: str) -> None:
    run(["ip", "-batch", "-"], timeout_s=20, stdin="".join(f"{each}\n" for each in commands))


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    """With a bridge that filters VLANs and has an uplink for VLANs 5 to 9, and a tap."""
    with own_network():
        try:
            run("ip link add br0 type bridge vlan_filtering 1 forward_delay 0".split(), timeout_s=20)
        except CommandError as err:
            assert "not supported" in str(err)
            pytest.skip("this kernel's bridges do not filter VLANs")
        ip("link set br0 up")
        ip("link add tap0 type veth peer name guest", "link add up0 type veth peer name outside")
        ip("link set up0 master br0 up", "link set guest up", "link set outside up")
        run(["bridge", "vlan", "add", "dev", "up0", "vid", "5-9"], timeout_s=20)
        yield


def shown(tap: str = "tap0") -> dict[int, list[str]]:
    """What bridge(8) says of the port."""
    [found] = json.loads(run(["bridge", "-json", "vlan", "show", "dev", tap], timeout_s=20))
    return {each["vlan"]: each.get("flags", []) for each in found["vlans"]}


def make(vlans: Vlans | None) -> None:
    wanted = port(BridgePort("br0", vlans))
    PART.check(wanted)
    PART.down("tap0")
    PART.make(wanted)
    PART.up(wanted)
    assert PART.problems([wanted]) == {}


ACCESS = ["PVID", "Egress Untagged"]
FORMS = {
    "none": (None, {1: ACCESS}),
    "access": (Vlans(5), {5: ACCESS}),
    "access of the bridge's own": (Vlans(1), {1: ACCESS}),
    "trunk": (Vlans(None, (6, 7)), {1: ACCESS, 6: [], 7: []}),
    "hybrid": (Vlans(5, (6, 7)), {5: ACCESS, 6: [], 7: []}),
    "hybrid that names it twice": (Vlans(5, (5, 6)), {5: ACCESS, 6: []}),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_is_what_bridge_shows(form: str) -> None:
    vlans, expected = FORMS[form]
    for _ in range(2):
        make(vlans)
        assert shown() == expected


def test_a_former_form_leaves_nothing() -> None:
    make(Vlans(5, (6, 7)))
    make(None)
    assert shown() == {1: ACCESS}
    make(Vlans(5))
    make(Vlans(None, (6,)))
    assert shown() == {1: ACCESS, 6: []}
    make(Vlans(5, (6, 7)))
    make(Vlans(8))
    assert shown() == {8: ACCESS}
    PART.unmake(port(BridgePort("br0", Vlans(8))))
    assert "master" not in run(["ip", "link", "show", "tap0"], timeout_s=20)


@pytest.mark.parametrize("command", ["vlan add dev tap0 vid 9", "vlan del dev tap0 vid 6", "vlan del dev tap0 vid 5"])
def test_damage_is_seen(command: str) -> None:
    make(Vlans(5, (6,)))
    run(["bridge", *command.split()], timeout_s=20)
    vid = command.split()[-1]
    found = PART.problems([port(BridgePort("br0", Vlans(5, (6,))))])
    assert found == {"tap0": f"its VLANs are not as wanted: {vid}"}


# Of the Ethernet types for experiments (IEEE 802), and what is found again by.
PAYLOAD = b"\x88\xb5" + b"to be found again".ljust(46, b".")


def ears(link: str) -> socket.socket:
    """Hears frames of *link* that come in; the VLAN of each is beside it (packet(7), PACKET_AUXDATA)."""
    receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    receiver.bind((link, 3))
    receiver.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA
    receiver.settimeout(1)
    return receiver


def heard(receiver: socket.socket) -> list[int]:
    """The VLANs, 0 for none, in which the payload has come within a second."""
    found: list[int] = []
    while True:
        try:
            frame, ancillary, _, _ = receiver.recvmsg(2048, 256)
        except TimeoutError:
            return found
        if PAYLOAD in frame:
            # struct tpacket_auxdata: four and four, two and two bytes before the tag.
            found.append(struct.unpack_from("=16xH", ancillary[0][2])[0] & 0xFFF)


@pytest.mark.parametrize(("sent", "arrives"), [(0, [5]), (6, [6]), (7, []), (1, [])])
def test_frames_go_where_their_vlan_goes(sent: int, arrives: list[int]) -> None:
    make(Vlans(5, (6,)))
    tag = struct.pack("!HH", 0x8100, sent) if sent else b""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as guest, ears("outside") as outside:
        guest.bind(("guest", 0))
        guest.send(b"\xff" * 6 + bytes.fromhex("525400000001") + tag + PAYLOAD)
        assert heard(outside) == arrives
