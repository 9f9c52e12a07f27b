# SPDX-License-Identifier: BSD-2-Clause
"""Which QEMU is trusted with volumes in files."""

from __future__ import annotations

import pytest

from archipelago.file import qemu
from ganeti_cloud.errors import StorageError
from tests.unit.faketools import FakeTools

DEBIAN_12 = "qemu-storage-daemon version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)\nCopyright\n"


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (DEBIAN_12, "qemu-storage-daemon 7.2.22 mixes up parallel writes"),
        ("qemu-storage-daemon version 10.0.12\n", "qemu-storage-daemon 10.0.12 mixes up parallel writes"),
        ("qemu-storage-daemon version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)\n", None),
        ("qemu-storage-daemon version 11.0.0\n", None),
        ("", "qemu-storage-daemon does not tell its version"),
    ],
)
def test_which_version_is_sound(told: str, fault: str | None) -> None:
    assert qemu.fault_of(told) == fault


def test_one_that_is_not_sound_is_refused(fake_tool: FakeTools) -> None:
    with pytest.raises(StorageError, match="not safe on this node: qemu-storage-daemon does not run"):
        qemu.refuse_unsound()
    fake_tool("qemu-storage-daemon", says=DEBIAN_12)
    with pytest.raises(StorageError, match="7.2.22 mixes up"):
        qemu.refuse_unsound()
    fake_tool("qemu-storage-daemon", says="qemu-storage-daemon version 10.0.13\n")
    qemu.refuse_unsound()
