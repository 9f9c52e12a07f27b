# SPDX-License-Identifier: BSD-2-Clause
"""What went wrong is one line in the system's log, and the log is never waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ganeti_hooks import journal


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    monkeypatch.setattr(journal, "_LOG", str(tmp_path / "log"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(journal._LOG)
        listening.settimeout(10)
        yield listening


def test_a_line_is_one_whatever_is_in_it(log: socket.socket) -> None:
    journal.warn("the event of a\nb\0\udcff is lost")
    head, _, text = log.recv(4096).partition(b"]: ")
    assert (head.partition(b"[")[0], text) == (b"<28>ganeti-cloud-hooks", b"the event of a b? is lost")


def test_a_long_line_is_cut(log: socket.socket) -> None:
    journal.warn("x" * 100_000)
    assert len(log.recv(200_000)) < 2100


def test_a_log_that_nobody_reads_is_not_waited_for(log: socket.socket) -> None:
    for _ in range(5000):  # more than the kernel keeps (net.unix.max_dgram_qlen)
        journal.warn("x")


def test_without_a_log_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_LOG", str(tmp_path / "log"))
    journal.warn("x")
