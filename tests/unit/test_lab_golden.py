# SPDX-License-Identifier: BSD-2-Clause
"""The parts of the golden image that are bytes and text, and listening to its guest."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_cloud.errors import CloudError
from lab import console
from lab.console import GuestReport, guest_report
from lab.cpio import Entry, archive
from lab.golden import boot_record, syslinux_config
from lab.network import Network
from lab.node import Node
from lab.places import Places
from lab.spec import Subnet

WRITER = "writes=5 verified=7 mismatches=1 errors=2"


def test_archive_is_what_the_kernel_unpacks() -> None:
    made = archive([Entry("bin"), Entry("bin/sh", b"hello", 0o755)])
    header = b"070701" + b"00000002" + b"000081ed" + b"00000000" * 2 + b"00000001" + b"00000000" + b"00000005"
    assert header in made
    assert b"bin/sh\0" in made
    assert made.endswith(b"TRAILER!!!\0\0\0\0")
    assert len(made) % 4 == 0


def test_archive_is_the_same_twice() -> None:
    entries = [Entry("dev"), Entry("init", b"#!/bin/sh\n", 0o755)]
    assert archive(entries) == archive(entries)


def test_boot_record_has_one_active_partition() -> None:
    sector = boot_record(b"\x33" * 440)
    assert (len(sector), sector[510:]) == (512, b"\x55\xaa")
    assert sector[446] == 0x80
    assert sector[454:462] == (2048).to_bytes(4, "little") + (129024).to_bytes(4, "little")
    assert sector[462:510] == bytes(48)


def test_boot_loader_tells_the_guest_its_size() -> None:
    assert syslinux_config(67108864).splitlines()[-1] == (
        " APPEND console=ttyS0 panic=-1 quiet lab.image_bytes=67108864"
    )


@pytest.fixture
def node() -> Node:
    return Node("node1", Places("lab"), Network("lab", Subnet.parse("198.51.100.0/24")))


@pytest.fixture
def serial(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The far end of the serial port that is listened to."""
    near, far = socket.socketpair()

    def connect(_path: Path, timeout_s: float) -> socket.socket:
        near.settimeout(timeout_s)
        return near

    monkeypatch.setattr(console, "connect", connect)
    monkeypatch.setattr(console, "serial_socket", lambda _node, _instance: Path("serial"))
    with near, far:
        yield far


def test_report_is_found_among_the_rest(serial: socket.socket, node: Node) -> None:
    line = f"lab-guest: uptime=9 image-sha256={'a' * 64} disk-bytes=67108864 {WRITER}\r\n".encode()
    serial.sendall(b"SeaBIOS\r\n" + line[5:] + line)
    assert guest_report(node, "inst1", timeout_s=5) == GuestReport(9, "a" * 64, 67108864, 5, 7, 1, 2)


def test_report_with_a_disk_of_the_right_size_is_waited_for(serial: socket.socket, node: Node) -> None:
    for uptime, size in ((9, 1024), (10, 2048)):
        serial.sendall(f"lab-guest: uptime={uptime} image-sha256=none disk-bytes={size} {WRITER}\r\n".encode())
    assert guest_report(node, "inst1", timeout_s=5, disk_bytes=2048) == GuestReport(10, "none", 2048, 5, 7, 1, 2)


def test_silence_is_an_error_with_the_last_words(serial: socket.socket, node: Node) -> None:
    serial.sendall(b"SeaBIOS\r\nBooting from Hard Disk...\r\n")
    with pytest.raises(CloudError) as caught:
        console.read_until(node, "inst1", "login:", timeout_s=0.3)
    assert str(caught.value) == "inst1 on node1: no 'login:' on its console in 0.3 s"
    assert caught.value.hint == "the last it said: Booting from Hard Disk..."
