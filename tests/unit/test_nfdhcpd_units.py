# SPDX-License-Identifier: BSD-2-Clause
"""The units of systemd: understood by it, and as confined as they are meant to be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.host_tools

DEBIAN = Path(__file__).parents[2] / "debian"
UNITS = {"nfdhcpd.service": "nfdhcpd.service", "nfdhcpd-rules.service": "nfdhcpd.nfdhcpd-rules.service"}


def analyze(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of the units, with a program that is there in the place of ours."""
    for name, source in UNITS.items():
        text = (DEBIAN / source).read_text(encoding="utf-8").replace("/usr/sbin/nfdhcpd", "/bin/true")
        (folder / name).write_text(text, encoding="utf-8")
    argv = ["systemd-analyze", *arguments]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False)


def test_systemd_understands_every_line(tmp_path: Path) -> None:
    done = analyze(tmp_path, "verify", "--man=no", *(f"./{name}" for name in UNITS))
    assert (done.returncode, done.stderr) == (0, "")


# In tenths of what systemd-analyze calls the exposure level; 100 is a service without any limit.
@pytest.mark.parametrize(("unit", "most"), [("nfdhcpd.service", 20), ("nfdhcpd-rules.service", 35)])
def test_the_services_have_few_rights(tmp_path: Path, unit: str, most: int) -> None:
    done = analyze(tmp_path, "security", "--offline=true", f"--threshold={most}", f"./{unit}")
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_the_daemon_keeps_two_capabilities() -> None:
    lines = (DEBIAN / "nfdhcpd.service").read_text(encoding="utf-8").splitlines()
    capabilities = "CAP_NET_ADMIN CAP_NET_RAW"
    assert {f"AmbientCapabilities={capabilities}", f"CapabilityBoundingSet={capabilities}", "User=nfdhcpd"} <= set(
        lines
    )
