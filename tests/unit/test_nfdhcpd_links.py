# SPDX-License-Identifier: BSD-2-Clause
"""The interfaces of the node: real ones in a network of their own, and damaged messages.

Where it does not matter what an interface is, it is a bridge: every kernel that a node may have can make these.
"""

from __future__ import annotations

import errno
import random
import select
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from nfdhcpd.guests import links as links_module
from nfdhcpd.guests.links import Links, LinksError
from nfdhcpd.guests.rtnetlink import Link, Message, dump, messages
from tests.unit.netspace import own_network

pytestmark = pytest.mark.host_tools

MAC0 = bytes.fromhex("525400000001")
MAC1 = bytes.fromhex("525400000002")


def ip(*commands: str) -> None:
    """Have iproute2 carry out *commands*, all in one go."""
    text = "".join(f"{command}\n" for command in commands)
    subprocess.run(["ip", "-batch", "-"], input=text, text=True, timeout=20, check=True)


@pytest.fixture
def network() -> Iterator[None]:
    with own_network():
        yield


@pytest.fixture
def links(network: None) -> Iterator[Links]:
    links = Links()
    yield links
    links.close()


def changes(links: Links) -> set[str]:
    """All that has changed."""
    changed = set()
    while select.select([links], [], [], 0)[0]:
        changed |= links.changes()
    return changed


def number(name: str) -> int:
    return socket.if_nametoindex(name)


def test_what_is_there_at_the_start(network: None) -> None:
    ip("link add tap0 address 52:54:00:00:00:01 type bridge", "link add br0 address 52:54:00:00:00:02 type bridge")
    links = Links()
    assert links.links == {
        "lo": Link(1, b""),
        "tap0": Link(number("tap0"), MAC0),
        "br0": Link(number("br0"), MAC1),
    }
    assert links.changes() == set()
    links.close()


def test_an_interface_that_comes_and_goes(links: Links) -> None:
    assert changes(links) == set()
    ip("link add tap0 address 52:54:00:00:00:01 type bridge")
    assert changes(links) == {"tap0"}
    assert links.links["tap0"] == Link(number("tap0"), MAC0)
    ip("link del tap0")
    assert changes(links) == {"tap0"}
    assert set(links.links) == {"lo"}
    assert links._names == {1: "lo"}


def test_a_real_tap(links: Links) -> None:
    ip("tuntap add tap0 mode tap", "tuntap add tun0 mode tun")
    assert changes(links) == {"tap0", "tun0"}
    assert len(links.links["tap0"].mac) == 6
    # A tun has no Ethernet.
    assert links.links["tun0"].mac == b""


def test_an_interface_that_comes_again_has_another_number(links: Links) -> None:
    ip("link add tap0 address 52:54:00:00:00:01 type bridge")
    changes(links)
    first = links.links["tap0"]
    ip("link del tap0", "link add tap0 address 52:54:00:00:00:01 type bridge")
    assert changes(links) == {"tap0"}
    assert links.links["tap0"] == Link(number("tap0"), MAC0)
    assert links.links["tap0"].number != first.number


def test_a_new_mac_is_noticed(links: Links) -> None:
    ip("link add br0 address 52:54:00:00:00:01 type bridge")
    changes(links)
    ip("link set br0 address 52:54:00:00:00:02")
    assert changes(links) == {"br0"}
    assert links.links["br0"].mac == MAC1


def test_a_bridge_takes_the_mac_of_its_first_port(links: Links) -> None:
    ip("link add br0 type bridge", "tuntap add tap0 mode tap", "link set tap0 address 02:00:00:00:00:01")
    changes(links)
    ip("link set tap0 master br0")
    assert "br0" in changes(links)
    assert links.links["br0"].mac == bytes.fromhex("020000000001")


def test_a_port_that_leaves_its_bridge_is_still_there(links: Links) -> None:
    """The bridge tells of it in a message of its own family that looks like the end of the interface."""
    ip("link add br0 address 52:54:00:00:00:02 type bridge", "tuntap add tap0 mode tap", "link set tap0 master br0")
    changes(links)
    before = dict(links.links)
    ip("link set tap0 nomaster")
    assert changes(links) == set()
    assert links.links == before


def test_the_end_of_one_does_not_take_the_name_from_another(links: Links) -> None:
    """After a dump messages come that are older than it is."""
    for message in (Message(50, "x", Link(50, MAC0)), Message(90, "x", Link(90, MAC1)), Message(50, "", None)):
        links._take(message)
    assert links.links["x"] == Link(90, MAC1)


def test_what_else_happens_to_an_interface_is_no_news(links: Links) -> None:
    ip("link add tap0 type bridge")
    changes(links)
    ip("link set tap0 up", "link set tap0 mtu 1400", "addr add 192.0.2.1/24 dev tap0", "link set tap0 down")
    assert changes(links) == set()


def test_a_new_name(links: Links) -> None:
    ip("link add tap0 address 52:54:00:00:00:01 type bridge", "link add tap1 address 52:54:00:00:00:02 type bridge")
    changes(links)
    numbers = number("tap0"), number("tap1")
    ip("link set tap0 name other", "link set tap1 name tap0", "link set other name tap1")
    assert changes(links) == {"tap0", "tap1", "other"}
    assert links.links == {"lo": Link(1, b""), "tap1": Link(numbers[0], MAC0), "tap0": Link(numbers[1], MAC1)}


def test_a_tap_that_moves_to_another_network(links: Links) -> None:
    ip("tuntap add tap0 mode tap")
    changes(links)
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as other:
        try:
            while Path(f"/proc/{other.pid}/ns/net").readlink() == Path("/proc/thread-self/ns/net").readlink():
                assert other.poll() is None
            ip(f"link set tap0 netns {other.pid}")
        finally:
            other.kill()
    assert changes(links) == {"tap0"}
    assert set(links.links) == {"lo"}


def test_lost_messages_are_made_good(links: Links, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a real overflow of the socket."""
    asked: list[dict[str, Link]] = []
    ask = links_module._asked

    def counted() -> dict[str, Link]:
        asked.append(ask())
        return asked[-1]

    monkeypatch.setattr(links_module, "_asked", counted)
    ip("link add gone type bridge", "link add same type bridge")
    changes(links)
    before = links.links
    same = before["same"]
    links._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the kernel makes some KiB of it
    ip("link add short type bridge", *[f"link add tap{n} type bridge" for n in range(20)], "link del gone")
    # That it came is still queued, that it goes is lost.
    ip("link del short")
    changed = changes(links)
    assert len(asked) == 1
    names = {f"tap{number}" for number in range(20)}
    assert set(links.links) == names | {"lo", "same"}
    assert links.links is before
    assert links.links["same"] == same
    assert changed - {"short"} == names | {"gone"}
    ip("link del same")
    assert changes(links) == {"same"}


def test_what_changed_is_told_also_when_the_kernel_could_not_be_asked(
    links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> dict[str, Link]:
        raise LinksError("rtnetlink: No buffer space available")

    ip("link add tap0 type bridge")
    links._has_lost = True
    with monkeypatch.context() as patch:
        patch.setattr(links_module, "_asked", refuse)
        with pytest.raises(LinksError):
            links.changes()
    assert links.changes() == {"tap0"}
    assert links.changes() == set()


def test_many_changes_are_told_in_parts(links: Links) -> None:
    ip(*[f"link add tap{number} type bridge" for number in range(100)])
    first = links.changes()
    assert 0 < len(first) < 100
    assert first | changes(links) == {f"tap{number}" for number in range(100)}


def test_another_dump_is_made_when_the_first_was_disturbed(monkeypatch: pytest.MonkeyPatch, network: None) -> None:
    answers = [({"old": Link(2, b"")}, False), ({"new": Link(2, b"")}, True), ({}, True)]
    monkeypatch.setattr(links_module, "dump", lambda connection: answers.pop(0))
    links = Links()
    assert links.links == {"new": Link(2, b"")}
    links.close()


def test_no_socket_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: int) -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(LinksError, match="^rtnetlink: Address family not supported by protocol$") as caught:
        Links()
    assert caught.value.hint == "the daemon needs sockets of AF_NETLINK: see what its unit allows it"


class Kernel:
    """A socket that answers with what it was given."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)

    def send(self, data: bytes) -> int:
        return len(data)

    def recv(self, size: int) -> bytes:
        return self.answers.pop(0)


def packed(kind: int, body: bytes, flags: int = 0) -> bytes:
    length = 16 + len(body)
    return struct.pack("=IHHII", length, kind, flags, 1, 0) + body + bytes(-length % 4)


def link_body(number: int, *attributes: tuple[int, bytes], family: int = 0, hardware: int = 1) -> bytes:
    body = struct.pack("=BxHiII", family, hardware, number, 0, 0)
    for kind, value in attributes:
        body += struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
    return body


TAP0 = link_body(7, (3, b"tap0\0"), (1, MAC0))


def test_a_disturbed_dump_says_so() -> None:
    kernel = Kernel(packed(16, TAP0, 2 | 0x10) + packed(16, link_body(8, (3, b"br0\0"))), packed(3, bytes(4), 2))
    assert dump(kernel) == ({"tap0": Link(7, MAC0), "br0": Link(8, b"")}, False)  # type: ignore[arg-type]  # a double


def test_an_error_in_a_dump_is_raised() -> None:
    with pytest.raises(OSError, match="Operation not permitted"):
        dump(Kernel(packed(2, struct.pack("=i", -1))))  # type: ignore[arg-type]  # a double


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (packed(16, TAP0), [Message(7, "tap0", Link(7, MAC0))]),
        (packed(17, TAP0), [Message(7, "", None)]),
        (packed(17, TAP0) + packed(16, TAP0), [Message(7, "", None), Message(7, "tap0", Link(7, MAC0))]),
        (packed(16, link_body(7, (1, MAC0), (3, b"tap0\0"))), [Message(7, "tap0", Link(7, MAC0))]),
        (packed(16, link_body(7, (3, b"tap0\0"), (1, MAC0), hardware=65534)), [Message(7, "tap0", Link(7, b""))]),
        (packed(16, link_body(7, (3, b"ib0\0"), (1, bytes(20)))), [Message(7, "ib0", Link(7, b""))]),
        (packed(16, link_body(7, (3, b"t\xff\0"))), [Message(7, "t\udcff", Link(7, b""))]),
        (packed(16, link_body(7, (3, b"tap0\0"), family=socket.AF_UNIX)), []),
        (packed(17, link_body(7, family=7)), []),
        (packed(16, link_body(7, (1, MAC0))), []),
        (packed(16, b"short"), []),
        (packed(20, TAP0), []),
        (packed(16, TAP0)[:30], []),
        (bytes(64), []),
        (b"", []),
    ],
)
def test_messages(data: bytes, wanted: list[Message]) -> None:
    assert list(messages(data)) == wanted


def test_damaged_messages_raise_nothing() -> None:
    dice = random.Random(7)
    for _ in range(5000):
        data = bytearray(packed(16, TAP0) + packed(17, TAP0))
        for _ in range(dice.randint(1, 6)):
            data[dice.randrange(len(data))] = dice.choice((0, 1, 3, 4, 255, dice.randrange(256)))
        assert len(list(messages(bytes(data[: dice.randint(0, len(data))])))) <= 3
